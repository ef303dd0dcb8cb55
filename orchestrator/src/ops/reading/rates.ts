import type { OpsOverview } from '../../database/operator-store.ts';
import { type Guest, runningPerSecond, standbyPerSecond } from '../../regions/prices.ts';

/** Computes what machines cost, US dollars at Fly's list price. */
export interface Rates {
  guest: Guest;
}

export interface HourlyUsd {
  serving: number;
  standby: number;
  hot: number;
}

const hourS = 3_600;

/** What the machines that exist now cost an hour. */
export function hourlyUsd(prepared: OpsOverview['prepared'], { guest }: Rates): HourlyUsd {
  const cost: HourlyUsd = { serving: 0, standby: 0, hot: 0 };
  for (const { region, hot, serving, count } of prepared) {
    const running = runningPerSecond(guest, region) * hourS * count;
    if (serving) cost.serving += running;
    else if (hot) cost.hot += running;
    else cost.standby += standbyPerSecond() * hourS * count;
  }
  return cost;
}

/** What one more machine of a kind costs a day. */
export const dailyUsd = (kind: 'standby' | 'hot', region: string, { guest }: Rates): number =>
  (kind === 'hot' ? runningPerSecond(guest, region) : standbyPerSecond()) * 24 * hourS;
