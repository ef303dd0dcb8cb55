import type { Register } from '../command.ts';
import { act, fleetOf, listed, type Row, rowsOf, segment, shown, tenantOption } from '../operators/fleet.ts';
import { actOptions, listOptions, oneOrMore } from '../operators/options.ts';
import { moment } from '../operators/table.ts';

/** `greenroom machines`: the VMs of all tenants, with and without an interview. */
const columns = [
  { title: 'machine', of: ({ machine_id }: Row) => machine_id },
  { title: 'fly', of: ({ fly_machine_id }: Row) => fly_machine_id },
  { title: 'app', of: ({ app_name }: Row) => app_name },
  { title: 'region', of: ({ region }: Row) => region },
  { title: 'kind', of: ({ kind }: Row) => kind },
  { title: 'state', of: ({ state, unwanted }: Row) => (unwanted ? 'unwanted' : state) },
  { title: 'session', of: ({ session }: Row) => session?.session_id },
  { title: 'reserved (UTC)', of: ({ reserved_at }: Row) => moment(reserved_at) },
];

interface Options {
  destroyed?: true;
  state?: string[];
  kind?: string;
  tenant?: string;
  region?: string;
  app?: string;
  unwanted?: true;
  lapsed?: true;
  limit: string;
  all?: true;
}

export const machinesCommand: Register = (program, run) => {
  const machines = program.command('machines').description('Machines of all tenants.');
  listOptions(machines.command('ls').description('List machines that exist, newest first.'))
    .option('--destroyed', 'also destroyed machines')
    .option('--state <state>', 'only this state; may be repeated', oneOrMore)
    .option('--kind <kind>', 'session, standby or hot')
    .option('--tenant <tenant>', 'slug or id')
    .option('--region <code>', 'only this region')
    .option('--app <name>', 'only this Fly app')
    .option('--unwanted', 'only those that should be gone')
    .option('--lapsed', 'only those whose worker has stopped sending heartbeats')
    .action(
      run(async ({ destroyed, tenant, state, kind, region, app, unwanted, lapsed, ...paging }: Options, console) => {
        const fleet = fleetOf(console);
        const filters = {
          ...{ state, kind, region, app, unwanted, lapsed, alive: destroyed ? undefined : true },
          tenant: await tenantOption(fleet, tenant),
        };
        const { rows, more } = await rowsOf(fleet, '/machines', filters, paging);
        return listed(rows, columns, console, more);
      }),
    );
  machines
    .command('show <id>')
    .description('Show everything about one machine, with its events.')
    .action(
      run(async ({ args: [id = ''] }: { args: string[] }, console) =>
        shown(await fleetOf(console).get(`/machines/${segment(id)}`)),
      ),
    );
  actOptions(machines.command('stop <id>').description('Destroy a machine. If it serves a session, the session ends.'))
    .option('--replace', 'give its session another machine instead of ending it')
    .action(
      run(
        (
          { args: [id = ''], replace = false, ...options }: { args: string[]; replace?: boolean; why?: string },
          console,
        ) => act(console, ['POST', `/machines/${segment(id)}/stop`, { replace }], options),
      ),
    );
};
