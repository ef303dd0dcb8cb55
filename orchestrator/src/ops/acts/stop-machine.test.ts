import { expect, test } from 'vitest';
import type { AuditEntry } from '../../database/audit-store.ts';
import { stopMachine } from './stop-machine.ts';

/** An operator replaces a machine, and Fly answers. */
const by = { actor: 'operator:kim', remote_address: '127.0.0.1', request_id: 'r', why: 'a test' };

function make(kind: string) {
  const asked: unknown[][] = [];
  const entries: AuditEntry[] = [];
  const act = stopMachine({
    store: {
      machine: async () => null,
      stopMachine: async () => ({ kind: 'replacing', machine_id: 'm', app_name: 'app', fly_machine_id: 'f' }),
    },
    fly: {
      stop: async (...args: unknown[]) => {
        asked.push(args);
        return { kind } as never;
      },
    },
    audit: async (entry) => void entries.push(entry),
    endings: { destroy: () => undefined } as never,
    ...{ stopMachines: () => undefined, stopTimeoutMs: 300_000 },
  });
  return { asked, entries, run: () => act.run({ id: 'm' }, { replace: true }, by) };
}

test('a machine that Fly stops is replaced', async () => {
  const { run, asked, entries } = make('done');
  await run();
  expect(asked).toEqual([['app', 'f', 'SIGTERM', '300s']]);
  expect(entries).toEqual([]);
});

test.each([
  ['rateLimited', 'The interview continues where it is'],
  ['ambiguous', 'Fly did not confirm'],
  ['notFound', 'no longer has this machine'],
])('the operator is told that Fly answered %s, and the audit log keeps it', async (kind, words) => {
  const { run, entries } = make(kind);
  await expect(run()).rejects.toMatchObject({ code: 'conflict', detail: expect.stringContaining(words) });
  expect(entries).toMatchObject([
    { action: 'machine.replace', target: 'm', outcome: 'refused', details: { why: 'a test', fly: kind } },
  ]);
});
