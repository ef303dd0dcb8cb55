import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createSleepWatch } from './sleep-watch.ts';

/** A worker whose process can be frozen: time passes and no timer fires. */
function make() {
  const fake = createFakeClock();
  let frozenMs = 0;
  const clock = { ...fake, now: () => fake.now() + frozenMs, monotonicMs: () => fake.monotonicMs() + frozenMs };
  const said: string[] = [];
  const asked: number[] = [];
  let answer: () => void = () => undefined;
  const watch = createSleepWatch({
    clock,
    ask: (sleptMs) => {
      asked.push(Math.round(sleptMs / 1_000));
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
  });
  watch.start();
  const say = (text: string) => watch.say(text, (what) => said.push(what) > 0);
  const freeze = async (ms: number) => {
    frozenMs += ms;
    await fake.advance(250);
  };
  return { fake, watch, said, asked, say, freeze, answer: () => answer() };
}

test('an awake worker speaks at once', async () => {
  const { fake, said, asked, say } = make();
  await fake.advance(10_000);
  expect(say('a')).toBe(true);
  expect([said, asked]).toEqual([['a'], []]);
});

test('after a sleep the worker asks first; what it wants to say waits in order', async () => {
  const { fake, said, asked, say, freeze, answer } = make();
  await freeze(8_000);
  expect(say('a') && say('b')).toBe(true);
  expect([said, asked]).toEqual([[], [8]]);
  answer();
  await fake.advance(0);
  expect(said).toEqual(['a', 'b']);
});

test('drops what waited when another machine serves the session', async () => {
  const { fake, watch, said, say, freeze, answer } = make();
  await freeze(8_000);
  say('a');
  watch.stop();
  answer();
  await fake.advance(0);
  expect(said).toEqual([]);
  expect(say('b')).toBe(false);
});

test('a short pause does not count as a sleep', async () => {
  const { asked, freeze } = make();
  await freeze(1_500);
  expect(asked).toEqual([]);
});
