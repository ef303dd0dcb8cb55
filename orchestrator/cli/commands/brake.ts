import type { Register } from '../command.ts';
import { act, fleetOf, type Row } from '../operators/fleet.ts';
import { actOptions } from '../operators/options.ts';
import { moment, table } from '../operators/table.ts';

/** `greenroom brake`: machines that the reconciler did not end, because they were too many at once. */
const columns = [
  { title: 'machine', of: ({ machine_id }: Row) => machine_id },
  { title: 'fly', of: ({ fly_machine_id }: Row) => fly_machine_id },
  { title: 'session', of: ({ session_id }: Row) => session_id },
  { title: 'would be', of: ({ what }: Row) => what },
];

export const brakeCommand: Register = (program, run) => {
  const brake = program
    .command('brake')
    .description("The reconciler's brake: machines that it does not end until an admin agrees.");
  brake
    .command('show')
    .description('Show which machines the brake holds.')
    .action(
      run(async (_options, console) => {
        const { data } = await fleetOf(console).get<{ data: Row[] }>('/brake');
        const lines = data.flatMap((hold) => [
          `Hold ${hold.hold_id}: ${hold.ends.length} machines of ${hold.app_name} since ${moment(hold.held_at)} UTC; at most ${hold.ceiling} end at once.`,
          ...(hold.released_at === null ? [] : [`Released by ${hold.released_by}; the next round ends them.`]),
          ...table(columns, hold.ends, console.colour ?? false),
        ]);
        return { document: { data }, lines: data.length === 0 ? ['The brake holds nothing.'] : lines };
      }),
    );
  actOptions(
    brake.command('release <hold>').description('Let the reconciler end the machines of this list, and no others.'),
  ).action(
    run(({ args: [hold_id = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['POST', '/brake/release', { hold_id }], options),
    ),
  );
};
