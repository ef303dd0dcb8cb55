import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import type { MachineState } from '@greenroom/shared/session/states.ts';
import { describe, expect, test } from 'vitest';
import type { Intent } from '../database/rows.ts';
import type { CreateOutcome, FlyMachine } from '../fly/classify.ts';
import type { ListOutcome } from '../fly/client.ts';
import { flyId, machineId, makeIntent, noTracing } from '../testing.ts';
import { createBody } from './machine-config.ts';
import { createProvisioner } from './provisioner.ts';

const machine = (changes: Partial<FlyMachine> = {}): FlyMachine => ({
  id: flyId,
  name: `gr-${machineId}`,
  state: 'created',
  region: 'fra',
  hostStatus: 'ok',
  metadata: { machine_id: machineId },
  ...changes,
});

interface Script {
  creates: CreateOutcome[];
  lookups?: ListOutcome[];
  keeps?: boolean[];
  holds?: boolean[];
  /** State of the row after its creation was recorded. */
  state?: MachineState;
}

/** How many machines of a session may fail in this script. */
const maxFailed = 5;

/** A scripted database and Fly; every call adds a line to `calls`. */
function make(script: Script) {
  const clock = createFakeClock();
  const calls: string[] = [];
  const next: Intent[] = [];
  const heldMs: number[] = [];
  const provisioner = createProvisioner({
    tracing: noTracing,
    machines: {
      keepIntent: async (id) => {
        calls.push('keep');
        return id !== '' && (script.keeps?.shift() ?? true);
      },
      holdIntent: async (_id, waitMs) => {
        heldMs.push(waitMs);
        return script.holds?.shift() ?? true;
      },
      recordCreated: async (_id, fly, region) => {
        calls.push(`created ${fly} ${region}`);
        return script.state ?? 'created';
      },
      recordCreateFailed: async (_id, reason, { region }) => {
        calls.push(`failed ${reason} → ${region ?? 'end'}`);
        if (region === undefined || next.length === maxFailed - 1) return 'ended';
        const tried = ['fra', ...next.map((i) => i.region), region];
        const intent = makeIntent({
          ...{ machine_id: `machine-${next.length + 2}`, region },
          ...{ attempt: next.length + 2, tried_regions: tried },
        });
        next.push(intent);
        provisioner.execute(intent);
        return 'next';
      },
      takeIntents: async () => [makeIntent()],
    },
    fly: {
      create: async (_app, body) => {
        calls.push(`create ${(body as { region: string }).region}`);
        return script.creates.shift() ?? { kind: 'created', machine: machine() };
      },
      get: async () => ({ kind: 'there', machine: machine() }),
      findByMetadata: async () => {
        calls.push('look');
        return script.lookups?.shift() ?? { kind: 'listed', machines: [] };
      },
    },
    endings: { destroy: ({ fly_machine_id }, reason) => void calls.push(`destroy ${fly_machine_id} ${reason}`) },
    template: {
      deploymentId: 'test',
      guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
      env: {},
      stopTimeoutMs: 90_000,
    },
    clock,
    logger: silentLogger(),
    onChange: () => undefined,
  });
  const run = async (intent = makeIntent(), forMs = 60_000) => {
    provisioner.execute(intent);
    await clock.advance(forMs);
    return calls;
  };
  return { clock, calls, heldMs, provisioner, run };
}

describe('an intent', () => {
  test('an intent that was just taken gets its machine at once', async () => {
    expect(await make({ creates: [] }).run()).toEqual(['create fra', `created ${flyId} fra`]);
  });

  test('an intent that has waited is checked again before its machine is created', async () => {
    const calls = await make({ creates: [] }).run(makeIntent({ wait_ms: 101 }));
    expect(calls).toEqual(['keep', 'create fra', `created ${flyId} fra`]);
  });

  test('an intent waits for its slot of the rate limit', async () => {
    const { run } = make({ creates: [] });
    expect(await run(makeIntent({ wait_ms: 2_000 }), 1_999)).toEqual([]);
    expect(await run(makeIntent(), 1)).toHaveLength(3);
  });

  test('an intent that another orchestrator took, or that is no longer wanted, is left alone', async () => {
    expect(await make({ creates: [], keeps: [false] }).run(makeIntent({ wait_ms: 101 }))).toEqual(['keep']);
  });

  test('an intent is not executed twice at once', async () => {
    const { provisioner, run } = make({ creates: [] });
    provisioner.execute(makeIntent());
    expect(await run()).toHaveLength(2);
  });

  test('a machine whose intent was cancelled during the create is destroyed', async () => {
    const calls = await make({ creates: [], state: 'destroying' }).run();
    expect(calls.at(-1)).toBe(`destroy ${flyId} session_gone`);
  });
});

describe('a create whose result is unclear:', () => {
  test('the reply was lost; the machine is found by its metadata and adopted, so there are not two', async () => {
    const calls = await make({
      creates: [{ kind: 'ambiguous' }],
      lookups: [{ kind: 'listed', machines: [machine()] }],
    }).run();
    expect(calls).toEqual(['create fra', 'look', `created ${flyId} fra`]);
  });

  test('the reply was lost and no machine is found; the create is repeated with the same name and region', async () => {
    const calls = await make({ creates: [{ kind: 'ambiguous' }] }).run();
    expect(calls).toEqual(['create fra', 'look', 'keep', 'create fra', `created ${flyId} fra`]);
  });

  test('the lookup failed too; the create is repeated with the same name, never with another', async () => {
    const calls = await make({ creates: [{ kind: 'ambiguous' }], lookups: [{ kind: 'ambiguous' }] }).run();
    expect(calls).toEqual(['create fra', 'look', 'keep', 'create fra', `created ${flyId} fra`]);
  });

  test('the name is taken; the machine with that name is adopted', async () => {
    const calls = await make({ creates: [{ kind: 'nameTaken', machineId: 'e28' }] }).run();
    expect(calls).toEqual(['create fra', 'created e28 fra']);
  });

  test('the machine was claimed meanwhile; nothing is created again', async () => {
    const calls = await make({ creates: [{ kind: 'ambiguous' }], keeps: [false] }).run();
    expect(calls).toEqual(['create fra', 'look', 'keep']);
  });
});

describe('a refused create:', () => {
  test('no capacity: the next nearest region is tried', async () => {
    const calls = await make({ creates: [{ kind: 'noCapacity' }] }).run();
    expect(calls).toEqual(['create fra', 'failed no_capacity → ams', 'create ams', `created ${flyId} fra`]);
  });

  test('no capacity anywhere: further regions are tried until the database ends the session', async () => {
    const calls = await make({ creates: Array.from({ length: 20 }, () => ({ kind: 'noCapacity' as const })) }).run();
    expect(calls.filter((c) => c.startsWith('create'))).toHaveLength(5);
    expect(calls.at(-1)).toMatch(/^failed no_capacity → [a-z]{3}$/);
  });

  test('no capacity in the only allowed region: the session ends at once', async () => {
    const calls = await make({ creates: [{ kind: 'noCapacity' }] }).run(makeIntent({ allowed_regions: ['fra'] }));
    expect(calls.at(-1)).toBe('failed no_capacity → end');
  });

  test("the organisation's quota in the only allowed region: the session ends with quota_exceeded", async () => {
    const calls = await make({ creates: [{ kind: 'quota' }] }).run(makeIntent({ allowed_regions: ['fra'] }));
    expect(calls.at(-1)).toBe('failed quota_exceeded → end');
  });

  test('rate limited: the create is repeated with the same name after the Retry-After', async () => {
    const { run } = make({ creates: [{ kind: 'rateLimited', retryAfterMs: 3_000 }] });
    expect(await run(makeIntent(), 2_999)).toEqual(['create fra']);
    expect(await run(makeIntent(), 1)).toEqual(['create fra', 'keep', 'create fra', `created ${flyId} fra`]);
  });

  test('rate limited: the intent is held while waiting, and left alone if another orchestrator took it', async () => {
    const creates = () => [{ kind: 'rateLimited' as const, retryAfterMs: 30_000 }];
    const { run, heldMs } = make({ creates: creates() });
    await run();
    expect(heldMs).toEqual([30_000]);
    expect(await make({ creates: creates(), holds: [false] }).run()).toEqual(['create fra']);
  });

  test('host busy: the region is tried four times, then the next region', async () => {
    const calls = await make({ creates: Array.from({ length: 4 }, () => ({ kind: 'hostBusy' as const })) }).run();
    expect(calls.filter((c) => c === 'create fra')).toHaveLength(4);
    expect(calls).toContain('failed no_capacity → ams');
  });

  test.each(['fatal', 'unauthorized'] as const)('%s ends the session, and no other region is tried', async (kind) => {
    expect(await make({ creates: [{ kind }] }).run()).toEqual(['create fra', 'failed fly_refused → end']);
  });
});

test('after a stop a waiting intent is not executed', async () => {
  const { provisioner, clock, calls } = make({ creates: [] });
  provisioner.execute(makeIntent({ wait_ms: 5_000 }));
  await clock.advance(0);
  await provisioner.stop();
  await clock.advance(10_000);
  expect(calls).toEqual([]);
});

test('a machine for a session gets the trace in its environment; a standby machine has no session yet', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const template = {
    deploymentId: 'test',
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    env: { PORT: '8080' },
    stopTimeoutMs: 1,
  };
  expect(createBody(makeIntent({ traceparent }), template)).toMatchObject({
    config: { env: { PORT: '8080', TRACEPARENT: traceparent } },
  });
  expect(createBody(makeIntent({ session_id: null }), template)).toMatchObject({ config: { env: { PORT: '8080' } } });
  expect(JSON.stringify(createBody(makeIntent({ session_id: null }), template))).not.toContain('TRACEPARENT');
});
