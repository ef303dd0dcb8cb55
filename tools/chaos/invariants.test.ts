import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Stack } from '../stack/stack.ts';
import { findViolations } from './invariants.ts';

/** `findViolations` finds nothing in a correct state, and returns one sentence for each violation. */
const session = { id: 's1', status: 'completed', outcome: 'completed', epoch: 2, claimed: 2, rows_left: 0, debts: 0 };
const prepared = { id: 'm1', fly_machine_id: 'f1', prepared: true };

interface World {
  sessions?: object[];
  counters?: object[];
  alive?: object[];
  machines?: Array<{ id: string; machineId: string; deployment?: string }>;
  calls?: object[];
}

function judge({ sessions = [session], counters = [], alive = [], machines = [], calls = [] }: World) {
  const answers: Array<[string, object[]]> = [
    ['interview_sessions s where s.id = any', sessions],
    ['tenant_counters', counters],
    ['fly_machine_id', alive],
  ];
  const query = async (text: string) => ({ rows: answers.find(([part]) => text.includes(part))?.[1] });
  const atFly = machines.map(({ id, machineId, deployment = 'ours' }) => ({
    ...{ id, name: `gr-${machineId}`, state: 'started' },
    metadata: { deployment_id: deployment, machine_id: machineId },
  }));
  const stack = {
    deploymentId: 'ours',
    cloud: { fly: { machines: () => atFly }, voice: { calls: () => calls } },
  } as unknown as Stack;
  return findViolations(stack, { query } as unknown as pg.Pool, ['s1']);
}

test('ended sessions, prepared machines and machines of other deployments are not violations', async () => {
  const machines = [
    { id: 'f1', machineId: 'm1' },
    { id: 'f9', machineId: 'm9', deployment: 'theirs' },
  ];
  expect(await judge({ alive: [prepared], machines })).toEqual({
    violations: [],
    duplicates: 0,
    orphans: 0,
    stuck: 0,
    unpaid: 0,
  });
});

test.each<[string, World, string, object]>([
  ['has not ended', { sessions: [{ ...session, status: 'ready', outcome: null }] }, 'is ready', { stuck: 1 }],
  ['was served twice', { sessions: [{ ...session, claimed: 3 }] }, '3 times in 2 epochs', { duplicates: 1 }],
  ['left a machine row behind', { sessions: [{ ...session, rows_left: 1 }] }, '1 machines that are not gone', {}],
  ['left a call open', { sessions: [{ ...session, debts: 1 }] }, '1 calls that are not hung up', {}],
  ['does not exist', { sessions: [] }, '0 sessions exist', {}],
  [
    'left a call open at the provider',
    { calls: [{ id: 'rtc_1', state: 'live', connected: true, packetsReceived: 9 }] },
    'still has call rtc_1',
    { unpaid: 1 },
  ],
  ['left a wrong counter', { counters: [{ slug: 'demo' }] }, 'counter of tenant demo', {}],
  ['left a machine at Fly', { machines: [{ id: 'f2', machineId: 'm2' }] }, 'Fly still has f2', { orphans: 1 }],
  ['left a prepared machine row without a machine at Fly', { alive: [prepared] }, 'm1 is not at Fly', {}],
])('a session that %s is a violation', async (_what, world, sentence, counts) => {
  const found = await judge(world);
  expect(found.violations).toEqual([expect.stringContaining(sentence)]);
  expect(found).toMatchObject(counts);
});
