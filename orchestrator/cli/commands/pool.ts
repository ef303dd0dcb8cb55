import type { Register } from '../command.ts';
import { CliError } from '../console.ts';
import { act, fleetOf, listed, queryOf, type Row, segment, tenantOption } from '../operators/fleet.ts';
import { actOptions } from '../operators/options.ts';

/** `greenroom pool`: how many machines are prepared. */
const columns = [
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'region', of: ({ region }: Row) => region },
  { title: 'floor', of: ({ floor }: Row) => floor },
  { title: 'ceiling', of: ({ ceiling }: Row) => ceiling },
  { title: 'ready', of: ({ ready }: Row) => ready },
  { title: 'building', of: ({ building }: Row) => building },
  { title: 'hot', of: ({ hot }: Row) => `${hot.ready} of ${hot.floor}–${hot.ceiling}` },
];

/** An option that is not given is left out: the pool keeps that number. */
function count(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0)
    throw new CliError('usage', 'count', `${name} must be a whole number, at least 0.`);
  return value;
}

interface SetOptions {
  args: string[];
  floor?: string;
  ceiling?: string;
  hotFloor?: string;
  hotCeiling?: string;
  why?: string;
}

export const poolCommand: Register = (program, run) => {
  const pool = program.command('pool').description('Machines that are prepared before a session needs them.');
  pool
    .command('ls')
    .description('List the pools with their ready machines.')
    .option('--tenant <tenant>', 'slug or id')
    .option('--region <code>', 'only this region')
    .action(
      run(async ({ tenant, region }: { tenant?: string; region?: string }, console) => {
        const fleet = fleetOf(console);
        const id = await tenantOption(fleet, tenant);
        const { data } = await fleet.get<{ data: Row[] }>(`/pools${queryOf({ tenant: id, region })}`);
        return listed(data, columns, console);
      }),
    );
  actOptions(
    pool
      .command('set <tenant> <region>')
      .description(
        'Set how many machines a tenant keeps ready in a region. Numbers that are not given stay as they are.',
      ),
  )
    .option('--floor <n>', 'keep at least this many standby machines')
    .option('--ceiling <n>', 'keep at most this many standby machines')
    .option('--hot-floor <n>', 'keep at least this many hot machines')
    .option('--hot-ceiling <n>', 'keep at most this many hot machines')
    .action(
      run(
        async (
          { args: [tenant = '', region = ''], floor, ceiling, hotFloor, hotCeiling, ...options }: SetOptions,
          console,
        ) => {
          const body = {
            ...{ floor: count(floor, '--floor'), ceiling: count(ceiling, '--ceiling') },
            ...{ hot_floor: count(hotFloor, '--hot-floor'), hot_ceiling: count(hotCeiling, '--hot-ceiling') },
          };
          if (Object.values(body).every((value) => value === undefined))
            throw new CliError(
              'usage',
              'count',
              'Name at least one of --floor, --ceiling, --hot-floor, --hot-ceiling.',
            );
          const id = await fleetOf(console).tenantId(tenant);
          return act(console, ['PUT', `/pools/${id}/${segment(region)}`, body], options);
        },
      ),
    );
};
