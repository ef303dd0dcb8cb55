import type { Register } from '../command.ts';
import { fleetOf, listed, queryOf, type Row, tenantOption } from '../operators/fleet.ts';
import { follow } from '../operators/follow.ts';
import { dollars, moment, seconds, table } from '../operators/table.ts';

/** `greenroom status`, `find`, `cost`, `events` and `whoami`: the fleet as a whole. */
const total = (rows: Row[]): number => rows.reduce((sum, { count }) => sum + count, 0);

function overviewLines(overview: Row): string[] {
  const { attention, sessions, machines, starts, spend, cost_per_hour: hour, orchestrators } = overview;
  const perHour = hour.serving + hour.standby + hour.hot;
  return [
    ...(attention.length === 0
      ? ['Nothing needs you.']
      : attention.map(({ urgent, sentence }: Row) => `${urgent ? '!!' : ' !'} ${sentence}`)),
    '',
    `${total(sessions)} sessions (${overview.present} candidates present), ${total(machines)} machines, ${orchestrators} orchestrators.`,
    ...starts.map(
      ({ path, starts: count, p50_ms, p95_ms }: Row) =>
        `${path}: ${count} starts in the last hour, p50 ${seconds(p50_ms)}, p95 ${seconds(p95_ms)}.`,
    ),
    `${dollars(spend.today_usd)} today, ${dollars(perHour)} an hour now.`,
  ];
}

const hitColumns = [
  { title: 'kind', of: ({ kind }: Row) => kind },
  { title: 'id', of: ({ id }: Row) => id },
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'is', of: ({ label }: Row) => label },
  { title: 'found by', of: ({ by }: Row) => by },
];
const costColumns = [
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'run', of: ({ run_usd }: Row) => dollars(run_usd) },
  { title: 'standby', of: ({ standby_usd }: Row) => dollars(standby_usd) },
  { title: 'hot', of: ({ hot_usd }: Row) => dollars(hot_usd) },
];
const dayColumns = [{ title: 'day (UTC)', of: ({ day }: Row) => day }, ...costColumns.slice(1)];

export const statusCommand: Register = (program, run) => {
  program
    .command('status')
    .description('Show what needs an operator now, and the fleet in a few lines.')
    .action(
      run(async (_options, console) => {
        const overview = await fleetOf(console).get('/overview');
        return { document: overview, lines: overviewLines(overview) };
      }),
    );
  program
    .command('whoami')
    .description('Show whose token this is, and its role.')
    .action(
      run(async (_options, console) => {
        const me = await fleetOf(console).get('/me');
        return { document: me, lines: [`${me.name}, ${me.role}, at ${me.public_url} (${me.deployment_id}).`] };
      }),
    );
  program
    .command('find <text>')
    .description("Find anything by any of its ids: UUID or its first 8 digits, Fly's ids, slug, Fly app, external id.")
    .action(
      run(async ({ args: [q = ''] }: { args: string[] }, console) => {
        const { data } = await fleetOf(console).get<{ data: Row[] }>(`/find${queryOf({ q })}`);
        return { ...listed(data, hitColumns, console), ...(data.length === 0 ? { exit: 'notFound' as const } : {}) };
      }),
    );
  program
    .command('cost')
    .description('Show what machines cost by day and by tenant.')
    .option('--days <n>', 'this many days, today included', '7')
    .action(
      run(async ({ days }: { days: string }, console) => {
        const costs = await fleetOf(console).get<{ days: Row[]; tenants: Row[] }>(`/costs${queryOf({ days })}`);
        const colour = console.colour ?? false;
        return {
          document: costs,
          lines: [...table(dayColumns, costs.days, colour), '', ...table(costColumns, costs.tenants, colour)],
        };
      }),
    );
  program
    .command('events')
    .description('Print the events of all sessions as they happen, until Ctrl-C; with --json one line each.')
    .option('--tenant <tenant>', 'slug or id')
    .option('--after <id>', 'continue after this event')
    .action(
      run(async ({ tenant, after, json }: { tenant?: string; after?: string; json?: boolean }, console) => {
        const id = await tenantOption(fleetOf(console), tenant);
        await follow(
          console,
          { topics: 'events', tenant: id },
          after === undefined ? undefined : Number(after),
          (name, data) => {
            if (name === 'gap') console.progress('Too many events: some were left out.');
            if (name === 'event')
              console.print(
                json
                  ? JSON.stringify(data)
                  : `${moment(data.created_at)}  ${data.tenant}  ${data.session_id}  ${data.type}`,
              );
            return undefined;
          },
        );
        return { document: {}, lines: [] };
      }),
    );
};
