import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createStandingWatch } from './standing-watch.ts';

function make() {
  const clock = createFakeClock();
  const lost: string[] = [];
  let asked = 0;
  let answer: () => Promise<boolean> = async () => true;
  const watch = createStandingWatch(clock, 500);
  const stands = () => {
    asked += 1;
    return answer();
  };
  const hold = (name: string) => watch.watch('key', stands, () => void lost.push(name));
  return {
    clock,
    lost,
    hold,
    asked: () => asked,
    answer: (next: () => Promise<boolean>) => {
      answer = next;
    },
  };
}

test('all streams of a credential end within a second after it becomes invalid', async () => {
  const { clock, lost, hold, answer } = make();
  hold('one');
  hold('other');
  await clock.advance(5_000);
  expect(lost).toEqual([]);
  answer(async () => false);
  await clock.advance(1_000);
  expect(lost).toEqual(['one', 'other']);
});

test('a credential is checked once per round for all of its streams, and not at all when it has none', async () => {
  const { clock, hold, asked } = make();
  const ends = [hold('one'), hold('two'), hold('three')];
  await clock.advance(500);
  expect(asked()).toBe(1);
  for (const end of ends) end();
  await clock.advance(5_000);
  expect(asked()).toBe(1);
  hold('again');
  await clock.advance(500);
  expect(asked()).toBe(2);
});

test('no stream ends while the database is unreachable', async () => {
  const { clock, lost, hold, answer } = make();
  hold('one');
  answer(() => Promise.reject(new Error('away')));
  await clock.advance(60_000);
  expect(lost).toEqual([]);
});
