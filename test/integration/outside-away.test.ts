import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import {
  machinesOf,
  platformOf,
  type RunningInterview,
  sessionBody,
  startInterview,
  until,
} from '../support/session.ts';

/** Fly and Supabase give wrong answers or none during live interviews. */
let stack: Stack;
beforeAll(async () => {
  stack = await startStack({
    orchestrators: 2,
    flyLimits: false,
    voice: { turns: 60, paceMs: 1_500 },
    environment: {
      HEARTBEAT_MS: '500',
      HEARTBEAT_FLUSH_MS: '200',
      LEASE_MS: '3000',
      RECONCILE_TICK_MS: '500',
      ABSENCE_GRACE_MS: '300',
    },
  });
});
afterEach(() => stack.cloud.fly.faults.clear());
afterAll(() => stack?.stop());

const forever = Number.POSITIVE_INFINITY;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const begin = async (): Promise<RunningInterview> => {
  const interview = await startInterview(stack, sessionBody());
  await until('the conversation has begun', () => interview.said() > 1, 40_000);
  return interview;
};
const end = ({ session }: RunningInterview) => platformOf(stack).deleteSession(session.session_id);

test.each([
  ['Fly’s own 404', { error: 'machine not found' }],
  ['a page of a proxy', '<html>404 page not found</html>'],
])(
  'workers with heartbeats keep their machines while Fly answers %s about them for four leases',
  async (_what, body) => {
    const interviews = await Promise.all([begin(), begin()]);
    const { faults } = stack.cloud.fly;
    faults.add({ on: 'machines.get', times: forever, action: { kind: 'status', status: 404, body } });
    faults.add({ on: 'machines.list', times: forever, action: { kind: 'special', name: 'empty_list' } });
    await pause(12_000);
    expect(faults.fired['machines.get']).toBeGreaterThan(4);
    faults.clear();
    await pause(2_000);
    for (const interview of interviews) {
      const { session_id } = interview.session;
      expect(await platformOf(stack).getSession(session_id)).toMatchObject({ epoch: 1, status: 'in_progress' });
      expect(machinesOf(stack, session_id)).toHaveLength(1);
      await end(interview);
    }
  },
);

test("a browser that loses its socket returns to its machine while Fly's API and the database are away", async () => {
  const interview = await begin();
  const machine = machinesOf(stack, interview.session.session_id).find(({ state }) => state === 'started');
  for (const on of ['machines.get', 'machines.list', 'machines.create', 'platform.regions'])
    stack.cloud.fly.faults.add({ on, times: forever, action: { kind: 'status', status: 503 } });
  await stack.cloud.supabase.postgrest.stop();
  try {
    for (const { url } of stack.orchestrators) expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(stack.cloud.fly.cutConnections(machine?.id)).toBe(1);
    await until('the browser is back', () => stack.cloud.fly.proxyStats.tunnels === 1, 90_000);
    const before = interview.said();
    await until('the conversation goes on', () => interview.said() > before, 90_000);
    expect(machinesOf(stack, interview.session.session_id).map(({ id }) => id)).toEqual([machine?.id]);
  } finally {
    await stack.cloud.supabase.postgrest.start();
  }
  stack.cloud.fly.faults.clear();
  await until('the database is back', () =>
    platformOf(stack)
      .getSession(interview.session.session_id)
      .catch(() => undefined),
  );
  expect(await platformOf(stack).getSession(interview.session.session_id)).toMatchObject({ epoch: 1 });
  await end(interview);
});
