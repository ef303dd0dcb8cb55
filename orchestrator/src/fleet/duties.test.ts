import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import type { Duty } from '../database/machine-store.ts';
import { createDuties, dutyNames, dutyOfApp } from './duties.ts';
import { createLeaseWatch } from './lease-watch.ts';

function make(answers: Array<Duty[] | Error>) {
  const clock = createFakeClock();
  const asked: boolean[] = [];
  const store = {
    keepDuties: async (_names: string[], _leaseMs: number, draining: boolean) => {
      asked.push(draining);
      await clock.sleep(100);
      const answer = answers.shift() ?? [];
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const duties = createDuties({ store, names: dutyNames, leaseMs: 2_000, clock, logger: silentLogger() });
  const renew = async () => {
    const done = duties.renew();
    done.catch(() => undefined);
    await clock.advance(100);
    await done;
  };
  return { clock, asked, duties, renew };
}

const duty = (n: number, fence = 1): Duty => ({ name: `reconcile:${n}`, fence });

describe('duties', () => {
  test('duties are held for one lease, counted from the request and not from the answer', async () => {
    const { clock, duties, renew } = make([[duty(0), { name: 'housekeeping', fence: 4 }]]);
    await renew();
    expect(duties.held('reconcile')).toEqual([duty(0)]);
    expect(duties.held('housekeeping')).toEqual([{ name: 'housekeeping', fence: 4 }]);
    await clock.advance(1_899);
    expect(duties.held('reconcile')).toHaveLength(1);
    await clock.advance(1);
    expect(duties.held('reconcile')).toEqual([]);
  });

  test('duties end by themselves when the database does not answer', async () => {
    const { clock, duties, renew } = make([[duty(0)], new Error('away')]);
    await renew();
    await expect(renew()).rejects.toThrow('away');
    expect(duties.held('reconcile')).toHaveLength(1);
    await clock.advance(2_000);
    expect(duties.held('reconcile')).toEqual([]);
  });

  test('duties that were given back are not taken again', async () => {
    const { clock, asked, duties, renew } = make([[duty(0)], []]);
    await renew();
    const back = duties.giveBack();
    expect(duties.held('reconcile')).toEqual([]);
    await clock.advance(100);
    await back;
    await renew();
    expect(asked).toEqual([false, true]);
  });

  test('every app belongs to an existing duty, and every reconcile duty gets apps', () => {
    const names = new Set(Array.from({ length: 100 }, (_, n) => dutyOfApp(`gr-tenant-${n}`)));
    expect([...names].every((name) => dutyNames.includes(name))).toBe(true);
    expect(names.size).toBe(dutyNames.length - 1);
  });
});

describe('lease watch', () => {
  const watch = () => {
    const clock = createFakeClock();
    const leases = createLeaseWatch({ clock, leaseMs: 20_000 });
    const beat = async (forMs: number) => {
      for (let ms = 0; ms < forMs; ms += 1_000) {
        leases.able();
        await clock.advance(1_000);
      }
    };
    return { clock, leases, beat };
  };

  test('leases may be judged only after one full lease of successful writes', async () => {
    const { leases, beat } = watch();
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(false);
    await beat(19_000);
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(false);
    await beat(1_000);
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(true);
  });

  test('a failed write restarts the time', async () => {
    const { leases, beat } = watch();
    await beat(30_000);
    leases.unable();
    await beat(19_000);
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(false);
    await beat(1_000);
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(true);
  });

  test('a process that was frozen restarts the time', async () => {
    const { clock, leases, beat } = watch();
    await beat(30_000);
    await clock.advance(60_000);
    leases.able();
    expect(leases.mayJudge({ heard: 1, lapsed: 1 })).toBe(false);
  });

  test('leases may not be judged if all workers’ leases expired: then this orchestrator is cut off', async () => {
    const { leases, beat } = watch();
    await beat(30_000);
    expect(leases.mayJudge({ heard: 3, lapsed: 3 })).toBe(false);
    expect(leases.mayJudge({ heard: 3, lapsed: 2 })).toBe(true);
  });
});
