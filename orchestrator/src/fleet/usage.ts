import type { UsageStore } from '../database/usage-store.ts';
import { type Guest, runningPerSecond, sizeOf, standbyPerSecond } from '../regions/prices.ts';

/**
 * Records the usage and cost of machines that are gone. The work is driven by rows, so no machine is forgotten
 * or charged twice, even if several orchestrators do it or one repeats it.
 */
export interface UsageDeps {
  usage: Pick<UsageStore, 'toBill' | 'record'>;
  guest: Guest;
}

const perTurn = 200;
const roundsPerTurn = 20;
/** Rounds to a millionth of a cent. */
const round = (usd: number): number => Math.round(usd * 1e8) / 1e8;

export function createUsage({ usage, guest }: UsageDeps): { run(): Promise<void> } {
  const bill = async (): Promise<number> => {
    const machines = await usage.toBill(perTurn);
    if (machines.length === 0) return 0;
    await usage.record(
      machines.map((machine) => ({
        ...machine,
        size: sizeOf(guest),
        cost_usd: round(machine.started_seconds * runningPerSecond(guest, machine.region)),
        standby_cost_usd: round(machine.standby_seconds * standbyPerSecond()),
        hot_cost_usd: round(machine.hot_seconds * runningPerSecond(guest, machine.region)),
      })),
    );
    return machines.length;
  };
  return {
    run: async () => {
      for (let rounds = 0; rounds < roundsPerTurn; rounds += 1) if ((await bill()) < perTurn) return;
    },
  };
}
