import type { Register } from '../command.ts';
import { fleetOf, listed, type Row, rowsOf, shown } from '../operators/fleet.ts';
import { listOptions } from '../operators/options.ts';
import { moment } from '../operators/table.ts';

/** `greenroom tenants` and `greenroom keys`. They are changed through the platform API (docs/operate.md). */
const columns = [
  { title: 'slug', of: ({ slug }: Row) => slug },
  { title: 'tenant', of: ({ tenant_id }: Row) => tenant_id },
  { title: 'status', of: ({ status }: Row) => status },
  { title: 'live', of: ({ live_sessions, max_live_sessions: most }: Row) => `${live_sessions}/${most}` },
  { title: 'queued', of: ({ queued }: Row) => queued },
  { title: 'standby', of: ({ standby }: Row) => standby },
  { title: 'hot', of: ({ hot }: Row) => hot },
  { title: 'keys', of: ({ keys }: Row) => keys },
  {
    title: 'webhooks',
    of: ({ webhooks, webhooks_failing: bad }: Row) => (bad > 0 ? `${webhooks}, ${bad} failing` : webhooks),
  },
];
const keyColumns = [
  { title: 'key', of: ({ key_id }: Row) => key_id },
  { title: 'name', of: ({ name }: Row) => name },
  { title: 'begins with', of: ({ prefix }: Row) => prefix },
  { title: 'scopes', of: ({ scopes }: Row) => scopes.join(' ') },
  { title: 'created (UTC)', of: ({ created_at }: Row) => moment(created_at) },
  { title: 'expires (UTC)', of: ({ expires_at }: Row) => moment(expires_at) },
  { title: 'revoked (UTC)', of: ({ revoked_at }: Row) => moment(revoked_at) },
];

export const tenantsCommand: Register = (program, run) => {
  const tenants = program.command('tenants').description('Tenants, their limits and what they use.');
  listOptions(tenants.command('ls').description('List the tenants by slug.'))
    .option('--status <status>', 'active, suspended, removing or removed')
    .action(
      run(async ({ status, ...paging }: { status?: string; limit: string; all?: true }, console) => {
        const { rows, more } = await rowsOf(fleetOf(console), '/tenants', { status }, paging);
        return listed(rows, columns, console, more);
      }),
    );
  tenants
    .command('show <tenant>')
    .description('Show one tenant: limits, apps, pools, keys, webhooks and the cost of 30 days.')
    .action(
      run(async ({ args: [name = ''] }: { args: string[] }, console) => {
        const fleet = fleetOf(console);
        return shown(await fleet.get(`/tenants/${await fleet.tenantId(name)}`));
      }),
    );
  program
    .command('keys')
    .description('API keys.')
    .command('ls <tenant>')
    .description('List the keys of a tenant, without their secrets.')
    .action(
      run(async ({ args: [name = ''] }: { args: string[] }, console) => {
        const fleet = fleetOf(console);
        const { api_keys } = await fleet.get<{ api_keys: Row[] }>(`/tenants/${await fleet.tenantId(name)}`);
        return listed(api_keys, keyColumns, console);
      }),
    );
};
