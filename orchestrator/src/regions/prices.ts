import { currentRegion, type Region } from './regions.ts';

/**
 * What Fly charges for a machine, US dollars at list price.
 *
 * Source: superfly/docs, `snippets/RegionPricingSelector.jsx` (prices of fly.io/docs/about/pricing): the rates of Ashburn with a
 * mark-up per region. Running machines cost per second, stopped ones by the size of their root file system. Reservations and
 * discounts are not included. The price of a machine in `created` is not documented; we assume that of a stopped one.
 */
export interface Guest {
  readonly cpu_kind: string;
  readonly cpus: number;
  readonly memory_mb: number;
}

const vcpuPerSecond: Record<string, number> = { shared: 0.00000075, performance: 0.00001196 };
const includedGbPerVcpu: Record<string, number> = { shared: 0.25, performance: 2 };
const ramPerGbSecond = 0.00000193;
const rootfsPerGbSecond = 0.15 / (30 * 86_400);
/** Size of our unpacked image, including containerd's overhead. */
const rootfsGb = 0.3;

const markups: Record<Region, number> = {
  ...{ ams: 1.038461538, arn: 1.038461538, cdg: 1.134615385, dfw: 1.25, ewr: 1, fra: 1.153846154, gru: 1.615384615 },
  ...{ iad: 1, jnb: 1.302884615, lax: 1.199519231, lhr: 1.134615385, nrt: 1.307692308, ord: 1.25, sin: 1.269230769 },
  ...{ sjc: 1.192307692, syd: 1.269230769, yyz: 1.115384615 },
  // Not in the source's list: we assume the highest price of the neighbouring regions.
  bom: 1.307692308,
};

/** Fly's name of the size, with memory: `shared-cpu-1x:512MB`. */
export const sizeOf = ({ cpu_kind, cpus, memory_mb }: Guest): string =>
  `${cpu_kind === 'shared' ? 'shared-cpu' : cpu_kind}-${cpus}x:${memory_mb}MB`;

const markupOf = (region: string): number => {
  const known = currentRegion(region);
  return known === undefined ? 1 : markups[known];
};

/** Price of a running machine, USD per second. */
export function runningPerSecond({ cpu_kind, cpus, memory_mb }: Guest, region: string): number {
  const kind = cpu_kind in vcpuPerSecond ? cpu_kind : 'performance';
  const extraGb = Math.max(0, memory_mb / 1_024 - cpus * (includedGbPerVcpu[kind] as number));
  return (cpus * (vcpuPerSecond[kind] as number) + extraGb * ramPerGbSecond) * markupOf(region);
}

/** Price of a standby machine, USD per second. */
export const standbyPerSecond = (): number => rootfsPerGbSecond * rootfsGb;
