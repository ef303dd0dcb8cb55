import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { createRegionHealth } from '../regions/health.ts';
import type { CreateOutcome, FlyMachine } from './classify.ts';
import type { FlyClient, ListOutcome } from './client.ts';
import { createLimitedClient } from './limited-client.ts';

const body = { region: 'fra' };
const listed: ListOutcome = { kind: 'listed', machines: [] };

function limited({ slot = 0 as number | 'none', create = undefined as CreateOutcome | undefined, list = listed } = {}) {
  const clock = createFakeClock();
  const health = createRegionHealth(clock);
  const log: string[] = [];
  const fly = {
    create: async () => create,
    list: async () => {
      log.push('list');
      return list;
    },
    findByMetadata: async () => list,
  } as unknown as FlyClient;
  const limits = {
    listSlot: async (app: string, urgent: boolean, maxWaitMs: number) => {
      log.push(`slot ${app} ${urgent} ${maxWaitMs}`);
      return slot === 'none' ? undefined : slot;
    },
    slowApp: async (app: string, action: string, retryMs: number) => {
      log.push(`slow ${app} ${action} ${retryMs}`);
      return retryMs + 500;
    },
  };
  return { client: createLimitedClient(fly, { limits, health, clock, maxListWaitMs: 5_000 }), health, clock, log };
}

describe('the client that keeps the shared limits', () => {
  test('a list reserves a slot and waits for it', async () => {
    const { client, clock, log } = limited({ slot: 700 });
    const list = client.list('app');
    await clock.advance(600);
    expect(log).toEqual(['slot app false 5000']);
    await clock.advance(100);
    expect(await list).toEqual(listed);
  });

  test('a list without a slot in time is not sent and counts as rate limited', async () => {
    const { client, log } = limited({ slot: 'none' });
    expect(await client.list('app')).toEqual({ kind: 'rateLimited', retryAfterMs: undefined });
    expect(log).not.toContain('list');
  });

  test('a look-up by metadata may use the burst', async () => {
    const { client, log } = limited();
    await client.findByMetadata('app', 'machine_id', 'x');
    expect(log).toEqual(['slot app true 3000']);
  });

  test('a 429 delays all orchestrators by the Retry-After or by a second, and the caller gets its own wait', async () => {
    const said = limited({ create: { kind: 'rateLimited', retryAfterMs: 4_000 } });
    expect(await said.client.create('app', body)).toEqual({ kind: 'rateLimited', retryAfterMs: 4_500 });
    expect(said.log).toEqual(['slow app create 4000']);
    const unsaid = limited({ list: { kind: 'rateLimited', retryAfterMs: undefined } });
    expect(await unsaid.client.list('app')).toEqual({ kind: 'rateLimited', retryAfterMs: 1_500 });
  });

  test('a refused create closes its region, and a successful one opens it', async () => {
    const { client, health } = limited({ create: { kind: 'noCapacity' } });
    await client.create('app', body);
    expect(health.isClosed('fra')).toBe(true);
    const good = limited({ create: { kind: 'created', machine: {} as FlyMachine } });
    good.health.refused('fra');
    await good.client.create('app', body);
    expect(good.health.isClosed('fra')).toBe(false);
  });
});
