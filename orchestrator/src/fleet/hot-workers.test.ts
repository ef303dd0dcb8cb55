import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { defaultDeadlines as deadlines } from '@greenroom/shared/session/deadlines.ts';
import { expect, test } from 'vitest';
import { createCreations } from '../sessions/creations.ts';
import { machineId, sessionId, until } from '../testing.ts';
import { createHotWorkers } from './hot-workers.ts';

const worker = { machine_id: machineId, heard_at: '2026-11-21T10:00:00Z' };

/** Hot workers over a database that says what the test sets. */
function makeWorld() {
  const clock = createFakeClock();
  const state = { unconfirmed: [] as string[], isIdle: true, late: false };
  const asked: unknown[][] = [];
  const destroyed: unknown[][] = [];
  const changed: string[] = [];
  const row = { machine_id: machineId, app_name: 'a', fly_machine_id: 'f', session_id: sessionId };
  const creations = createCreations(clock);
  const hot = createHotWorkers({
    machines: {
      unconfirmed: async () => state.unconfirmed,
      recordHotLeft: async (...given) => asked.push(['left', ...given]) > 0 && state.isIdle,
      replaceUnconfirmed: async (...given) => {
        asked.push(['replace', ...given]);
        return state.late ? [row] : [];
      },
    },
    endings: { destroy: (...given) => void destroyed.push(given) },
    ...{ clock, deadlines, creations, logger: silentLogger(), onChange: (id: string) => void changed.push(id) },
  });
  const connection = new AbortController();
  const log: string[] = [];
  const hold = () => void hot.hold(worker, connection.signal).then(() => log.push('answered'));
  const isAnswered = () => until(() => log.length > 0);
  return { clock, state, asked, destroyed, changed, hot, creations, connection, hold, log, isAnswered };
}

test('a held claim is answered when its machine is assigned here', async () => {
  const { hot, hold, isAnswered, clock } = makeWorld();
  hold();
  hot.execute({ machine_id: 'another machine' });
  hot.execute({ machine_id: machineId });
  await isAnswered();
  expect(clock.pending).toBe(0);
});

test('a worker is woken after the sessions that are being created, and after 250 ms at the latest', async () => {
  const { hot, hold, clock, creations, log } = makeWorld();
  const answered = creations.begin();
  hold();
  hot.execute({ machine_id: machineId });
  await clock.advance(100);
  expect(log).toEqual([]);
  answered();
  await clock.advance(0);
  expect(log).toEqual(['answered']);
  creations.begin();
  hold();
  hot.execute({ machine_id: machineId });
  await clock.advance(249);
  expect(log).toHaveLength(1);
  await clock.advance(1);
  expect(log).toHaveLength(2);
});

test('the poll finds an assignment that another orchestrator made', async () => {
  const { hot, hold, isAnswered, state, log } = makeWorld();
  hold();
  await hot.look();
  expect(log).toEqual([]);
  state.unconfirmed = [machineId];
  await hot.look();
  await isAnswered();
});

test('a held claim without a session is answered after hotHoldMs, and when this process stops', async () => {
  const world = makeWorld();
  world.hold();
  await world.clock.advance(deadlines.hotHoldMs - 1);
  expect(world.log).toEqual([]);
  await world.clock.advance(1);
  await world.isAnswered();
  world.log.length = 0;
  world.hold();
  await world.hot.stop();
  await world.isAnswered();
  expect(world.asked).toEqual([]);
});

test('a closed connection of a worker without a session is recorded, and nothing is replaced', async () => {
  const { hold, connection, asked, isAnswered, clock } = makeWorld();
  hold();
  connection.abort();
  await isAnswered();
  await clock.advance(1_000);
  expect(asked).toEqual([['left', worker.machine_id, worker.heard_at]]);
});

test('a worker whose connection closes after the assignment is replaced after a grace, unless it has claimed', async () => {
  const { hold, connection, asked, destroyed, changed, state, clock } = makeWorld();
  state.isIdle = false;
  state.late = true;
  hold();
  connection.abort();
  await until(() => clock.pending === 1);
  expect(destroyed).toEqual([]);
  await clock.advance(1_000);
  await until(() => destroyed.length === 1);
  expect(asked[1]).toEqual(['replace', deadlines.hotClaimMs, machineId]);
  expect(destroyed[0]?.slice(1)).toEqual(['boot_timeout', 'its held claim was closed']);
  expect(changed).toEqual([sessionId]);
});

test('a machine that did not claim in time is replaced with that evidence', async () => {
  const { hot, asked, destroyed, state } = makeWorld();
  state.late = true;
  await hot.replaceLate();
  expect(asked).toEqual([['replace', deadlines.hotClaimMs, undefined]]);
  expect(destroyed[0]?.slice(1)).toEqual(['boot_timeout', 'no claim within 2000 ms']);
});
