import { describe, expect, test } from 'vitest';
import { createTasks } from './tasks.ts';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('background tasks', () => {
  test('a key that is under way is not started twice; afterwards it may be started again', async () => {
    const tasks = createTasks('the test');
    const begun: string[] = [];
    const gate = Promise.withResolvers<void>();
    const work = (name: string) => async () => {
      begun.push(name);
      await gate.promise;
    };
    tasks.start('a', work('first'), () => undefined);
    tasks.start('a', work('second'), () => undefined);
    tasks.start('b', work('other'), () => undefined);
    expect(begun).toEqual(['first', 'other']);
    gate.resolve();
    await settled();
    tasks.start('a', work('third'), () => undefined);
    expect(begun).toEqual(['first', 'other', 'third']);
  });

  test('a failure is told and frees the key', async () => {
    const tasks = createTasks('the test');
    const told: unknown[] = [];
    const fail = () => Promise.reject(new Error('broken'));
    tasks.start('a', fail, (error) => told.push(error));
    await settled();
    tasks.start('a', fail, (error) => told.push(error));
    await settled();
    expect(told).toEqual([new Error('broken'), new Error('broken')]);
  });

  test('stopping waits for what is under way, starts nothing more and tells no failure that it caused', async () => {
    const tasks = createTasks('the test');
    const told: unknown[] = [];
    let over = false;
    tasks.start(
      'a',
      async () => {
        await new Promise((_, reject) => tasks.signal.addEventListener('abort', () => reject(tasks.signal.reason)));
      },
      (error) => told.push(error),
    );
    const slow = Promise.withResolvers<void>();
    tasks.start(
      'b',
      () => slow.promise,
      () => undefined,
    );
    const stopped = tasks.stop().then(() => {
      over = true;
    });
    tasks.start(
      'c',
      () => Promise.reject(new Error('too late')),
      (error) => told.push(error),
    );
    await settled();
    expect(over).toBe(false);
    slow.resolve();
    await stopped;
    expect(told).toEqual([]);
  });
});
