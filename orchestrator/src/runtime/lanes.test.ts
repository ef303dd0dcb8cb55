import { expect, test } from 'vitest';
import { createLanes } from './lanes.ts';

const moment = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Tasks that end when they are told to. */
function makeTasks() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const task = (name: string) => () =>
    new Promise<void>((resolve) => {
      begun.push(name);
      ends.set(name, resolve);
    });
  return { begun, task, end: (name: string) => ends.get(name)?.() };
}

test("one party's hanging tasks leave room for another's", async () => {
  const { begun, task } = makeTasks();
  const lanes = createLanes({ total: 4, perLane: 2 });
  for (const n of [1, 2, 3, 4, 5]) void lanes.add('hangs', task(`hangs ${n}`));
  void lanes.add('well', task('well 1'));
  await moment();
  expect(begun).toEqual(['hangs 1', 'hangs 2', 'well 1']);
});

test('a free place goes to the party that has waited longest for its turn, not to the longest queue', async () => {
  const { begun, task, end } = makeTasks();
  const lanes = createLanes({ total: 1, perLane: 1 });
  for (const n of [1, 2, 3]) void lanes.add('many', task(`many ${n}`));
  void lanes.add('one', task('one 1'));
  await moment();
  end('many 1');
  await moment();
  expect(begun).toEqual(['many 1', 'one 1']);
});

test('answers what the task answers, and fails as it fails', async () => {
  const lanes = createLanes({ total: 1, perLane: 1 });
  expect(await lanes.add('a', async () => 7)).toBe(7);
  await expect(lanes.add('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await lanes.add('a', async () => 8)).toBe(8);
});

test('is idle when nothing runs and nothing waits', async () => {
  const { task, end } = makeTasks();
  const lanes = createLanes({ total: 1, perLane: 1 });
  await lanes.idle();
  void lanes.add('a', task('1'));
  void lanes.add('b', task('2'));
  let idle = false;
  const waiting = lanes.idle().then(() => {
    idle = true;
  });
  await moment();
  end('1');
  await moment();
  expect(idle).toBe(false);
  end('2');
  await waiting;
});
