import { withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';
import { createPlatform } from '../platform.ts';
import { type Column, table } from './table.ts';

/** The operators' API for commands: reading lists and documents, and acts. */

// biome-ignore lint/suspicious/noExplicitAny: a command shows single fields of a document
export type Row = Record<string, any>;

export interface Fleet {
  url: string;
  token: string;
  get<T = Row>(path: string): Promise<T>;
  send<T = Row>(method: 'POST' | 'PUT', path: string, body: object): Promise<T>;
  /** @param name id or slug of a tenant @returns its id. Throws CliError not_found. */
  tenantId(name: string): Promise<string>;
}

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function fleetOf(console: Console): Fleet {
  const url = withoutEndSlashes(
    needed(console, 'GREENROOM_URL', "the address of the operators' API (OPS_HOST and OPS_PORT)."),
  );
  const token = needed(console, 'GREENROOM_TOKEN', "an operator's token (its hash is in OPERATOR_TOKENS).");
  const { call } = createPlatform(`${url}/ops/api`, token, 'GREENROOM_URL');
  return {
    ...{ url, token },
    get: (path) => call('GET', path),
    send: (method, path, body) => call(method, path, body),
    tenantId: async (name) => {
      if (uuidForm.test(name)) return name;
      const { data } = await call<{ data: Row[] }>('GET', `/find?q=${encodeURIComponent(name)}`);
      const found = data.find(({ kind, label }) => kind === 'tenant' && label === name);
      if (!found)
        throw new CliError('notFound', 'not_found', `There is no tenant ${name}. greenroom tenants ls lists them.`);
      return String(found.id);
    },
  };
}

/** The id of the tenant that `--tenant` names; undefined without the option. */
export const tenantOption = async (fleet: Fleet, name: string | undefined): Promise<string | undefined> =>
  name === undefined ? undefined : fleet.tenantId(name);

/** One segment of a path. */
export const segment = (text: string): string => encodeURIComponent(text);

type Value = string | number | boolean | readonly string[] | undefined;

/** `?a=1&b=2&b=3`, without what is not given. */
export function queryOf(values: Record<string, Value>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined) for (const one of [value].flat()) query.append(name, String(one));
  return query.size === 0 ? '' : `?${query}`;
}

const pageRows = 200;

interface Paging {
  /** Default 50. */
  limit?: string;
  all?: true;
}

/** Reads a list, page by page until there are enough rows. */
export async function rowsOf(
  fleet: Fleet,
  path: string,
  filters: Record<string, Value>,
  { limit = '50', all }: Paging,
) {
  const wanted = all ? Number.POSITIVE_INFINITY : Number(limit);
  if (!(wanted >= 1)) throw new CliError('usage', 'limit', '--limit must be a number of rows, at least 1.');
  const rows: Row[] = [];
  let cursor: string | null = null;
  do {
    const page: { data: Row[]; next_cursor: string | null } = await fleet.get(
      `${path}${queryOf({ ...filters, limit: Math.min(pageRows, wanted - rows.length), cursor: cursor ?? undefined })}`,
    );
    rows.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null && rows.length < wanted);
  return { rows, more: cursor !== null };
}

/** The result of a list. */
export function listed(rows: Row[], columns: Array<Column<Row>>, { colour = false }: Console, more = false): Finished {
  const lines = rows.length === 0 ? ['None.'] : table(columns, rows, colour);
  return {
    document: { data: rows, has_more: more },
    lines: more ? [...lines, `There are more than these ${rows.length}. --all shows them.`] : lines,
  };
}

/** A document as `name: value` lines. */
export const shown = (document: Row): Finished => ({
  document,
  lines: Object.entries(document)
    .filter(([, value]) => value !== null && (typeof value !== 'object' || Object.keys(value).length > 0))
    .map(([name, value]) => `${`${name}:`.padEnd(22)}${typeof value === 'object' ? JSON.stringify(value) : value}`),
});

export interface ActOptions {
  why?: string;
  dryRun?: true;
  yes?: true;
}

interface Plan extends Row {
  effect: string[];
  affected: { sessions: number; candidates_live: number; machines: number };
  undo: string | null;
  usd_per_day?: number;
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

const planLines = ({ effect, affected, undo, usd_per_day: usd }: Plan): string[] => [
  ...effect,
  `Affects ${plural(affected.sessions, 'session')}, ${plural(affected.candidates_live, 'live candidate')} and ${plural(affected.machines, 'machine')}.`,
  ...(usd === undefined ? [] : [`Cost: ${usd >= 0 ? '+' : '−'}$${Math.abs(usd).toFixed(2)} a day.`]),
  undo === null ? 'This cannot be undone.' : `Undo: ${undo}`,
];

/**
 * Carries out an act: shows its dry run, asks, and acts. Without a terminal to ask on it needs `--yes`.
 * @param body without `why`
 */
export async function act(
  console: Console,
  [method, path, body]: [method: 'POST' | 'PUT', path: string, body: object],
  { why, dryRun, yes }: ActOptions,
): Promise<Finished> {
  if (why === undefined)
    throw new CliError('usage', 'why', 'Say why with --why "…" (3 to 200 characters). The audit log keeps it.');
  const fleet = fleetOf(console);
  const plan = await fleet.send<Plan>(method, `${path}?dry_run=true`, { ...body, why });
  if (dryRun) return { document: plan, lines: [...planLines(plan), 'Nothing was changed (--dry-run).'] };
  if (!yes) {
    if (console.ask === undefined)
      throw new CliError(
        'usage',
        'unconfirmed',
        'Nothing was changed: add --yes, because there is no terminal to ask on.',
      );
    for (const line of planLines(plan)) console.progress(line);
    if (!/^y(es)?$/i.test((await console.ask('Do it? [y/N] ')).trim()))
      return { document: { ...plan, done: false }, lines: ['Nothing was changed.'] };
  }
  const done = await fleet.send<Plan>(method, path, { ...body, why });
  return { document: done, lines: [...planLines(done), 'Done.'] };
}
