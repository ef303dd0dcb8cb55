import type { UsageStore } from '../database/usage-store.ts';
import { type Guest, runningPerSecond, sizeOf, standbyPerSecond } from '../regions/prices.ts';

/**
 * Writes down what machines used, once they are gone: durable work by rows, so that none is forgotten and none is charged
 * twice, whoever does it and however often.
 */
export interface UsageDeps {
  usage: Pick<UsageStore, 'toBill' | 'record'>;
  guest: Guest;
}

const perTurn = 200;
const roundsPerTurn = 20;
/** A ten-thousandth of a cent is enough for anybody's sum. */
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
