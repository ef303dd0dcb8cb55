import type { Register } from '../command.ts';
import { act, fleetOf, listed, type Row, segment } from '../operators/fleet.ts';
import { actOptions } from '../operators/options.ts';
import { seconds } from '../operators/table.ts';

/** `greenroom regions`: where machines run, and where no new one may be created. */
const columns = [
  { title: 'region', of: ({ region }: Row) => region },
  { title: 'state', of: ({ drain }: Row) => (drain === null ? 'open' : 'drained') },
  { title: 'live', of: ({ sessions }: Row) => sessions },
  { title: 'standby', of: ({ standby }: Row) => standby },
  { title: 'hot', of: ({ hot }: Row) => hot },
  { title: 'tried (1 h)', of: ({ tries_hour }: Row) => tries_hour },
  { title: 'refused (1 h)', of: ({ failures_hour }: Row) => failures_hour },
  { title: 'create p50', of: ({ create_ms }: Row) => seconds(create_ms) },
  { title: 'why', of: ({ drain }: Row) => drain?.why },
];

export const regionsCommand: Register = (program, run) => {
  const regions = program.command('regions').description('Regions of Fly that are in use.');
  regions
    .command('ls')
    .description('List the regions with their machines, and what Fly refused in the last hour.')
    .action(
      run(async (_options, console) => {
        const { data } = await fleetOf(console).get<{ data: Row[] }>('/regions');
        return listed(data, columns, console);
      }),
    );
  actOptions(regions.command('drain <code>').description('Create no new machine there. Sessions there go on.'))
    .option('--until <time>', 'open again at this time (ISO 8601)')
    .action(
      run(({ args: [code = ''], until, ...options }: { args: string[]; until?: string; why?: string }, console) =>
        act(console, ['PUT', `/regions/${segment(code)}`, { state: 'drained', ...(until ? { until } : {}) }], options),
      ),
    );
  actOptions(regions.command('open <code>').description('Create machines there again.')).action(
    run(({ args: [code = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['PUT', `/regions/${segment(code)}`, { state: 'open' }], options),
    ),
  );
};
