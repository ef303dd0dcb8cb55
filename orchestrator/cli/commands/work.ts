import type { Register } from '../command.ts';
import { CliError } from '../console.ts';
import { act, fleetOf, listed, type Row, rowsOf, segment, tenantOption } from '../operators/fleet.ts';
import { actOptions, listOptions, oneOrMore } from '../operators/options.ts';
import { moment } from '../operators/table.ts';

/** `greenroom webhooks`, `results` and `work`: what is still to be done after interviews, and what was given up. */
const deliveryColumns = [
  { title: 'delivery', of: ({ id }: Row) => id },
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'type', of: ({ type }: Row) => type },
  { title: 'status', of: ({ status }: Row) => status },
  { title: 'attempts', of: ({ attempts }: Row) => attempts },
  { title: 'error', of: ({ last_error }: Row) => last_error },
  { title: 'created (UTC)', of: ({ created_at }: Row) => moment(created_at) },
];
const workColumns = [
  { title: 'kind', of: ({ kind }: Row) => kind },
  { title: 'id', of: ({ id }: Row) => id },
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'state', of: ({ state }: Row) => state },
  { title: 'attempts', of: ({ attempts }: Row) => attempts },
  { title: 'due (UTC)', of: ({ due_at }: Row) => moment(due_at) },
  { title: 'error', of: ({ last_error }: Row) => last_error },
];

interface Deliveries {
  tenant?: string;
  webhook?: string;
  session?: string;
  status?: string;
  limit: string;
  all?: true;
}

export const webhooksCommand: Register = (program, run) => {
  const webhooks = program.command('webhooks').description('Webhook deliveries.');
  listOptions(webhooks.command('ls').description('List deliveries of a tenant, a webhook or a session, newest first.'))
    .option('--tenant <tenant>', 'slug or id')
    .option('--webhook <id>', 'only this webhook')
    .option('--session <id>', 'only this session')
    .option('--status <status>', 'pending, delivered or dead')
    .action(
      run(async ({ tenant, webhook, session, status, ...paging }: Deliveries, console) => {
        if ((tenant ?? webhook ?? session) === undefined)
          throw new CliError('usage', 'filter', 'Name what to list: --tenant, --webhook or --session.');
        const fleet = fleetOf(console);
        const id = await tenantOption(fleet, tenant);
        const { rows, more } = await rowsOf(fleet, '/deliveries', { tenant: id, webhook, session, status }, paging);
        return listed(rows, deliveryColumns, console, more);
      }),
    );
  actOptions(webhooks.command('replay <delivery>').description('Send a delivery again, under the same id.')).action(
    run(({ args: [id = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['POST', `/deliveries/${segment(id)}/replay`, {}], options),
    ),
  );
};

export const workCommand: Register = (program, run) => {
  const work = program
    .command('work')
    .description('Outstanding work: results, recordings, hang-ups, erasures, webhooks.');
  listOptions(work.command('ls').description('List outstanding work, the longest due first.'))
    .option('--kind <kind>', 'result, recording, recording_deletion, hang_up, erasure or webhook')
    .option('--state <state>', 'pending, running, failing or dead; may be repeated', oneOrMore)
    .option('--tenant <tenant>', 'slug or id')
    .action(
      run(
        async (
          {
            kind,
            state,
            tenant,
            ...paging
          }: { kind?: string; state?: string[]; tenant?: string; limit: string; all?: true },
          console,
        ) => {
          const fleet = fleetOf(console);
          const id = await tenantOption(fleet, tenant);
          const { rows, more } = await rowsOf(fleet, '/work', { kind, state, tenant: id }, paging);
          return listed(rows, workColumns, console, more);
        },
      ),
    );
  actOptions(
    work
      .command('retry <kind> <id>')
      .description('Try one piece of work at once: result, recording, recording_deletion or hang_up.'),
  ).action(
    run(({ args: [kind = '', id = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['POST', '/retries', { kind, id }], options),
    ),
  );
  const results = program.command('results').description('Evaluations of interviews.');
  actOptions(
    results.command('retry <session>').description('Evaluate an interview again. It is paid for again.'),
  ).action(
    run(({ args: [id = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['POST', '/retries', { kind: 'result', id }], options),
    ),
  );
};
