import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import type { FlyMachine, Presence } from '../fly/classify.ts';
import { flyId, machineId, sessionId } from '../testing.ts';
import { createEndings } from './ending.ts';

const there: Presence = { kind: 'there', machine: { id: flyId, state: 'stopping' } as FlyMachine };
const destroyed: Presence = { kind: 'gone', evidence: 'destroyed' };
const missing: Presence = { kind: 'gone', evidence: '404' };
const leaving = { machine_id: machineId, app_name: 'gr-acme-1', fly_machine_id: flyId };

function make(gets: Presence[]) {
  const clock = createFakeClock();
  const calls: string[] = [];
  const endings = createEndings({
    machines: {
      recordGone: async (_id, reason) => {
        calls.push(`gone ${reason}`);
        return { kind: 'recorded', session_id: sessionId };
      },
      recordAbsent: async () => void calls.push('absent'),
      recordDestroying: async () => {
        calls.push('destroying');
        return 'destroying';
      },
    },
    fly: {
      get: async () => {
        calls.push('GET');
        return gets.shift() ?? there;
      },
      destroy: async () => {
        calls.push('DELETE');
        return { kind: 'done' };
      },
    },
    brake: { admits: () => calls.push('brake') > 0 },
    clock,
    logger: silentLogger(),
    absenceGraceMs: 3_000,
    watchMs: 90_000,
    onGone: (id) => void calls.push(`told ${id}`),
  });
  return { clock, calls, endings };
}

test('a leaving machine is recorded as gone soon after Fly reports it destroyed', async () => {
  const { clock, calls, endings } = make([there, there, destroyed]);
  endings.watch(leaving, 'session_ended');
  await clock.advance(250);
  expect(calls).toEqual(['GET', 'GET', 'GET', 'gone session_ended', `told ${sessionId}`]);
});

test('one 404 about a leaving machine is not believed; a second one after the grace period is', async () => {
  const { clock, calls, endings } = make([missing, missing]);
  endings.watch(leaving, 'session_ended');
  await clock.advance(2_900);
  expect(calls).toEqual(['GET', 'absent']);
  await clock.advance(200);
  expect(calls.slice(2)).toEqual(['GET', 'gone session_ended', `told ${sessionId}`]);
});

test('a false 404 about a leaving machine changes nothing', async () => {
  const { clock, calls, endings } = make([missing, there, destroyed]);
  endings.watch(leaving, 'session_ended');
  await clock.advance(4_000);
  expect(calls).toEqual(['GET', 'absent', 'GET', 'GET', 'gone session_ended', `told ${sessionId}`]);
});

test('the DELETE is sent only after the row has become destroying', async () => {
  const { clock, calls, endings } = make([destroyed]);
  endings.destroy(leaving, 'session_gone', 'its session is over');
  await clock.advance(100);
  expect(calls.slice(0, 3)).toEqual(['destroying', 'DELETE', 'GET']);
});

test('a machine that is already watched is not watched a second time', async () => {
  const { clock, calls, endings } = make([destroyed]);
  endings.watch(leaving, 'session_ended');
  endings.watch(leaving, 'session_ended');
  await clock.advance(1_000);
  expect(calls.filter((call) => call === 'GET')).toHaveLength(1);
});

test('the watch ends after its time limit, and at once when it is stopped', async () => {
  const { clock, calls, endings } = make([]);
  endings.watch(leaving, 'session_ended');
  await clock.advance(120_000);
  const gets = calls.length;
  await clock.advance(60_000);
  expect(calls).toHaveLength(gets);
  endings.watch(leaving, 'session_ended');
  await endings.stop();
});

test('a machine in use is recorded as gone, and the brake counts it, when Fly twice reports it destroyed', async () => {
  const { clock, calls, endings } = make([destroyed, destroyed]);
  endings.confirm(leaving, 'worker_lost');
  await clock.advance(2_900);
  expect(calls).toEqual(['GET', 'absent']);
  await clock.advance(200);
  expect(calls.slice(2)).toEqual(['GET', 'brake', 'gone worker_lost', `told ${sessionId}`]);
});

test.each([
  ['in the first answer', [missing, missing]],
  ['after Fly reported it destroyed', [destroyed, missing]],
])('a 404 about a machine in use (%s) is recorded, and the reconciler decides', async (_when, gets) => {
  const { clock, calls, endings } = make(gets);
  endings.confirm(leaving, 'worker_lost');
  await clock.advance(60_000);
  expect(calls).toContain('absent');
  expect(calls.join()).not.toContain('gone');
});

test('a machine in use that Fly still has is asked for only once', async () => {
  const { clock, calls, endings } = make([there]);
  endings.confirm(leaving, 'worker_lost');
  await clock.advance(10_000);
  expect(calls).toEqual(['GET']);
});
