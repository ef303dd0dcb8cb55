import type { Directive } from '@greenroom/shared/protocol/worker-api.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { type Beat, beatKey } from '../database/machine-store.ts';
import { createHeartbeats } from './heartbeats.ts';

const beat = (machine_id: string, presence = 'present'): Beat => ({
  machine_id,
  epoch: 1,
  presence,
  unsaved_entries: 0,
});

function make(
  answer: (beats: Beat[]) => Map<string, Directive> = (beats) =>
    new Map(beats.map((b) => [beatKey(b), { kind: 'continue' }])),
) {
  const clock = createFakeClock();
  const batches: Beat[][] = [];
  const recordHeartbeats = async (beats: Beat[]) => {
    batches.push(beats);
    return answer(beats);
  };
  return { clock, batches, heartbeats: createHeartbeats({ machines: { recordHeartbeats }, clock, flushMs: 1_000 }) };
}

test('a single heartbeat is written at once; those within the next second are written together', async () => {
  const { clock, batches, heartbeats } = make();
  const first = heartbeats.record(beat('a'));
  await clock.advance(0);
  expect(await first).toEqual({ kind: 'continue' });
  const rest = [heartbeats.record(beat('b')), heartbeats.record(beat('c'))];
  await clock.advance(999);
  expect(batches).toHaveLength(1);
  await clock.advance(1);
  await Promise.all(rest);
  expect(batches.map((b) => b.map((x) => x.machine_id))).toEqual([['a'], ['b', 'c']]);
});

test('ten thousand heartbeats in five seconds cause at most six writes', async () => {
  const { clock, batches, heartbeats } = make();
  for (let tick = 0; tick < 50; tick += 1) {
    for (let n = 0; n < 200; n += 1) void heartbeats.record(beat(`m${tick * 200 + n}`));
    await clock.advance(100);
  }
  expect(batches.length).toBeLessThanOrEqual(6);
  await heartbeats.flush();
  expect(batches.flat()).toHaveLength(10_000);
});

test('of several heartbeats of a machine in one batch, only the last is written', async () => {
  const { batches, heartbeats } = make();
  const both = [heartbeats.record(beat('a', 'present')), heartbeats.record(beat('a', 'lost'))];
  await heartbeats.flush();
  await Promise.all(both);
  expect(batches).toEqual([[beat('a', 'lost')]]);
});

test('a machine that the database does not know is told that it is fenced', async () => {
  const { heartbeats } = make(() => new Map());
  const answer = heartbeats.record(beat('a'));
  await heartbeats.flush();
  expect(await answer).toEqual({ kind: 'fenced' });
});

test('when a write fails, its heartbeats fail; the next write works', async () => {
  let away = true;
  const { heartbeats } = make((beats) => {
    if (away) throw new Error('away');
    return new Map(beats.map((b) => [beatKey(b), { kind: 'continue' }]));
  });
  const first = heartbeats.record(beat('a'));
  const refused = expect(first).rejects.toThrow('away');
  await heartbeats.flush();
  await refused;
  away = false;
  const second = heartbeats.record(beat('a'));
  await heartbeats.flush();
  expect(await second).toEqual({ kind: 'continue' });
});

test('a step that was reported as an age grows older while its heartbeat waits for the batch', async () => {
  const { clock, batches, heartbeats } = make();
  const first = heartbeats.record(beat('a'));
  await clock.advance(0);
  await first;
  const second = heartbeats.record({ ...beat('b'), phases: { edge_wait: 300, socket: 2_000 } });
  await clock.advance(1_000);
  await second;
  expect(batches[1]?.[0]?.phases).toEqual({ edge_wait: 300, socket: 3_000 });
});
