import { byDistance, type Region, regionCoordinates, regions } from '@greenroom/orchestrator/regions/regions.ts';
import { assumptions, createRandom, poisson } from './assumptions.ts';

/**
 * A synthetic day of demand. Tenants differ widely in size, and each has one to three regions. Most interviews
 * take place during the local day. Many are scheduled, and most scheduled ones start at nine.
 */
export const dayS = 86_400;
export const stepS = 5;

export interface Arrival {
  atS: number;
  pool: number;
}

export interface Tenant {
  id: string;
  /** The regions of its pools. The first is its main region. */
  regions: Region[];
  /** Number of Fly apps: enough to create every machine on demand at twice the mean rate of its busiest hour. */
  apps: number;
  /** Unscheduled arrivals by step, and scheduled sessions by start time. The number is the index of the region. */
  unscheduled: Map<number, Arrival[]>;
  scheduled: Arrival[];
}

export interface DayOptions {
  interviews: number;
  tenants: number;
  seed: number;
  /** Share of interviews that are scheduled. */
  scheduledShare: number;
}

/** How busy each region is, relative to the others. */
const weights: Record<Region, number> = {
  ...{ ams: 4, arn: 2, bom: 9, cdg: 5, dfw: 6, ewr: 9, fra: 8, gru: 4, iad: 9, jnb: 1, lax: 6, lhr: 8, nrt: 4, ord: 6 },
  ...{ sin: 5, sjc: 6, syd: 3, yyz: 3 },
};

/** Unscheduled interviews by hour of the local day. */
const hourly = [1, 1, 1, 1, 1, 2, 4, 12, 40, 70, 80, 75, 50, 65, 80, 78, 70, 50, 25, 15, 10, 6, 3, 2];
/** Scheduled sessions by half hour of the local day, from 8:00. Nine o'clock is the third. */
const appointments = [4, 4, 40, 8, 16, 6, 14, 6, 4, 2, 10, 6, 14, 6, 12, 5, 10, 4, 5, 2];

const hoursAhead = (region: Region): number => Math.round((regionCoordinates[region][1] as number) / 15);
const toUtc = (localS: number, region: Region): number => (localS - hoursAhead(region) * 3_600 + 2 * dayS) % dayS;

function pick<T>(items: readonly T[], weightOf: (item: T) => number, random: () => number): T {
  let left = random() * items.reduce((sum, item) => sum + weightOf(item), 0);
  for (const item of items) {
    left -= weightOf(item);
    if (left <= 0) return item;
  }
  return items[0] as T;
}

function addUnscheduled(tenant: Tenant, pool: number, count: number, random: () => number): void {
  const region = tenant.regions[pool] as Region;
  const total = hourly.reduce((sum, n) => sum + n, 0);
  for (const [hour, weight] of hourly.entries()) {
    for (let n = poisson((count * weight) / total, random); n > 0; n -= 1) {
      const atS = toUtc(hour * 3_600 + random() * 3_600, region);
      const step = Math.floor(atS / stepS);
      const list = tenant.unscheduled.get(step) ?? [];
      list.push({ atS, pool });
      tenant.unscheduled.set(step, list);
    }
  }
}

function addScheduled(tenant: Tenant, pool: number, count: number, random: () => number): void {
  const region = tenant.regions[pool] as Region;
  const total = appointments.reduce((sum, n) => sum + n, 0);
  for (const [slot, weight] of appointments.entries()) {
    const atS = toUtc(8 * 3_600 + slot * 1_800, region);
    for (let n = poisson((count * weight) / total, random); n > 0; n -= 1) tenant.scheduled.push({ atS, pool });
  }
}

function busiestHour(tenant: Tenant): number {
  const hours = new Map<number, number>();
  const add = ({ atS }: Arrival) => hours.set(Math.floor(atS / 3_600), (hours.get(Math.floor(atS / 3_600)) ?? 0) + 1);
  for (const list of tenant.unscheduled.values()) list.forEach(add);
  tenant.scheduled.forEach(add);
  return Math.max(0, ...hours.values());
}

/** Pure: the same options give the same day. */
export function makeDay({ interviews, tenants, seed, scheduledShare }: DayOptions): Tenant[] {
  const random = createRandom(seed);
  // Zipf: the largest tenant is as large as many small ones together.
  const sizes = Array.from({ length: tenants }, (_, n) => 1 / (n + 1) ** 0.8);
  const sum = sizes.reduce((a, b) => a + b, 0);
  return sizes.map((size, n) => {
    const home = pick(regions, (region) => weights[region], random);
    const near = byDistance(home).slice(1, 6);
    const others = n < tenants / 3 ? near.toSorted(() => random() - 0.5).slice(0, 2) : [];
    const tenant: Tenant = { id: `t${n}`, regions: [home, ...others], apps: 1, unscheduled: new Map(), scheduled: [] };
    for (const [pool] of tenant.regions.entries()) {
      const share = tenant.regions.length === 1 ? 1 : pool === 0 ? 0.6 : 0.4 / others.length;
      const count = (interviews * size * share) / sum;
      addUnscheduled(tenant, pool, count * (1 - scheduledShare), random);
      addScheduled(tenant, pool, count * scheduledShare, random);
    }
    tenant.scheduled.sort((a, b) => a.atS - b.atS);
    tenant.apps = Math.max(1, Math.ceil((2 * busiestHour(tenant)) / 3_600 / assumptions.createsPerSecond));
    return tenant;
  });
}
