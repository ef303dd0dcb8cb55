import { parseArgs } from 'node:util';
import { z } from 'zod';

/** The command-line options of the simulation. */
export const usage = `npm run sim -- [--interviews N] [--tenants N] [--scheduled SHARE] [--seed N] [--slow-first-start] [--plot] [--json]

Simulates a day of synthetic demand under the product's policies of placement and pools, with and without
hot machines, and under two simple ones.

  --interviews N      interviews of the day, 1–10000000 (default 1000000)
  --tenants N         number of tenants, 1–10000 (default 120)
  --scheduled SHARE   share of scheduled interviews, 0–1 (default 0.4)
  --seed N            seed of the day (default 1)
  --slow-first-start  use the pessimistic figure for the first start of a machine that never ran
  --plot              write docs/capacity.svg and the figures of docs/capacity.md
  --json              print one JSON line at the end

Exit 0 only if the product's policy has the lowest p99.
`;

const number = z.coerce.number();
const schema = z.object({
  interviews: number.int().min(1).max(10_000_000),
  tenants: number.int().min(1).max(10_000),
  scheduled: number.min(0).max(1),
  seed: number.int().min(0).max(4_294_967_295),
  'slow-first-start': z.boolean(),
  plot: z.boolean(),
  json: z.boolean(),
  help: z.boolean(),
});
export type SimOptions = z.output<typeof schema>;

/** Throws an Error that names the option. */
export function readOptions(args: string[]): SimOptions {
  const { values } = parseArgs({
    args,
    options: {
      interviews: { type: 'string', default: '1000000' },
      tenants: { type: 'string', default: '120' },
      scheduled: { type: 'string', default: '0.4' },
      seed: { type: 'string', default: '1' },
      'slow-first-start': { type: 'boolean', default: false },
      plot: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'));
}
