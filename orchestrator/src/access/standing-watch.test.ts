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

test('what goes on ends within a second of the moment its credential no longer stands', async () => {
  const { clock, lost, hold, answer } = make();
  hold('one');
  hold('other');
  await clock.advance(5_000);
  expect(lost).toEqual([]);
  answer(async () => false);
  await clock.advance(1_000);
  expect(lost).toEqual(['one', 'other']);
});

test('one credential is asked for once a round, and not at all when nobody holds it any more', async () => {
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

test('a database that is away ends nothing', async () => {
  const { clock, lost, hold, answer } = make();
  hold('one');
  answer(() => Promise.reject(new Error('away')));
  await clock.advance(60_000);
  expect(lost).toEqual([]);
});
