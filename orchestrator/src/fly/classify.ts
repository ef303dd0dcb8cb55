/**
 * What Fly's answer to a request means: decided here, once, from the raw response.
 *
 * Bodies are matched as Fly writes them (docs of the Machines API, fly-go's error types, measurements): the same status
 * means different things, and the same thing comes under different statuses.
 */
export interface RawResponse {
  status: number;
  /** Parsed JSON, or text when it was none. */
  body: unknown;
  requestId: string | undefined;
  retryAfterMs: number | undefined;
}

/** No answer came: the request may or may not have had its effect. */
export interface NoResponse {
  status: 0;
  error: unknown;
}

export type Raw = RawResponse | NoResponse;

/** A machine as Fly shows it; only what we judge by. */
export interface FlyMachine {
  id: string;
  name: string;
  state: string;
  region: string;
  hostStatus: string;
  metadata: Record<string, string>;
}

export type FlyRefusal =
  /** The region has no room: try another. */
  | { kind: 'noCapacity' }
  /** One host had no room, or is closed: the same request may succeed, elsewhere surely. */
  | { kind: 'hostBusy' }
  /** The organisation's quota in this region. */
  | { kind: 'quota' }
  | { kind: 'rateLimited'; retryAfterMs: number | undefined }
  /** It may have happened: look before anything is created under another name. */
  | { kind: 'ambiguous' }
  /** Not now, in this state: poll and try again. */
  | { kind: 'precondition' }
  /** The name is taken, by this machine: it is ours, adopt it. */
  | { kind: 'nameTaken'; machineId: string }
  | { kind: 'notFound' }
  | { kind: 'unauthorized' }
  /** Our request is wrong: no repetition helps. */
  | { kind: 'fatal' };

export type CreateOutcome =
  | { kind: 'created'; machine: FlyMachine }
  | { kind: 'started'; machine: FlyMachine }
  | FlyRefusal;

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const asText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The machine in an answer, or undefined when the body is none. */
export function parseMachine(body: unknown): FlyMachine | undefined {
  const machine = asRecord(body);
  if (typeof machine.id !== 'string' || typeof machine.state !== 'string') return undefined;
  // A host that is not ok has no config, only an incomplete one.
  const config = asRecord(machine.config ?? machine.incomplete_config);
  return {
    id: machine.id,
    name: asText(machine.name),
    state: machine.state,
    region: asText(machine.region),
    hostStatus: asText(machine.host_status) || 'ok',
    metadata: asRecord(config.metadata) as Record<string, string>,
  };
}

/** The words of an error body, whatever its shape. */
const errorText = (body: unknown): string =>
  typeof body === 'string' ? body : `${asText(asRecord(body).error)} ${asText(asRecord(body).message)}`;

const nameHolder = /unique machine name violation, machine ID (\w{1,64}) already exists/;

/** First match wins: the special before the general. */
const table: Array<{
  statuses: number[] | 'any';
  matches: RegExp;
  kind: Exclude<FlyRefusal['kind'], 'nameTaken' | 'rateLimited'>;
}> = [
  { statuses: [403], matches: /over the allowed quota/i, kind: 'quota' },
  {
    statuses: 'any',
    matches: /could not find a candidate host|insufficient_capacity|volume_placement_capacity/i,
    kind: 'noCapacity',
  },
  {
    statuses: [400, 409, 412, 422],
    matches: /no capacity|insufficient resources to create new machine/i,
    kind: 'noCapacity',
  },
  {
    statuses: [409, 412, 422],
    matches: /insufficient resources available|could not reserve resource|insufficient IPs available/i,
    kind: 'hostBusy',
  },
  { statuses: 'any', matches: /deploys to this host are temporarily disabled/i, kind: 'hostBusy' },
  { statuses: [409], matches: /concurrent update|lease currently held/i, kind: 'precondition' },
  { statuses: [400, 404, 409, 422], matches: /manifest[_ ]unknown/i, kind: 'precondition' },
];

/**
 * Whether the Machines API itself wrote this refusal. A gateway, a captive portal or a wrong base URL answers with pages
 * and texts of its own: those say nothing of what Fly knows or did.
 */
const isFlys = ({ body }: RawResponse): boolean => typeof asRecord(body).error === 'string';

function byStatus(response: RawResponse): FlyRefusal['kind'] {
  const { status } = response;
  if (!isFlys(response)) return 'ambiguous';
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 404) return 'notFound';
  if (status === 412) return 'precondition';
  if (status === 408 || status >= 500 || status === 0) return 'ambiguous';
  return 'fatal';
}

/** What an answer that is no success means. */
export function classifyRefusal(raw: Raw): FlyRefusal {
  if (raw.status === 0) return { kind: 'ambiguous' };
  const response = raw as RawResponse;
  if (response.status === 429) return { kind: 'rateLimited', retryAfterMs: response.retryAfterMs };
  const words = `${errorText(response.body)} ${asText(asRecord(response.body).status)}`;
  const holder = response.status === 409 ? nameHolder.exec(words)?.[1] : undefined;
  if (holder !== undefined) return { kind: 'nameTaken', machineId: holder };
  const row = table.find(
    (r) =>
      (r.statuses === 'any' ? response.status >= 400 : r.statuses.includes(response.status)) && r.matches.test(words),
  );
  return { kind: row?.kind ?? byStatus(response) } as FlyRefusal;
}

/** What the answer to a create means. */
export function classifyCreate(raw: Raw): CreateOutcome {
  if (raw.status !== 200 && raw.status !== 201) return classifyRefusal(raw);
  const machine = parseMachine((raw as RawResponse).body);
  // A success that names no machine: it exists, we do not know it.
  if (!machine) return { kind: 'ambiguous' };
  return { kind: machine.state === 'started' ? 'started' : 'created', machine };
}

/**
 * Whether a machine is there: for judging, so an unclear answer stays unclear.
 *
 * `destroyed` is Fly's own statement about the machine. A 404 is weaker: Fly has answered it about machines that ran
 * (flyctl PR 4618), so how much it counts depends on what else is known of the machine.
 */
export type Presence =
  | { kind: 'there'; machine: FlyMachine }
  | { kind: 'gone'; evidence: 'destroyed' | '404' }
  | { kind: 'unclear'; evidence: string };

/** What the answer to a GET of a machine means. */
export function classifyGet(raw: Raw): Presence {
  if (raw.status === 404 && isFlys(raw as RawResponse)) return { kind: 'gone', evidence: '404' };
  if (raw.status !== 200) return { kind: 'unclear', evidence: raw.status === 0 ? 'no answer' : `HTTP ${raw.status}` };
  const machine = parseMachine((raw as RawResponse).body);
  if (!machine) return { kind: 'unclear', evidence: 'not a machine' };
  return machine.state === 'destroyed' ? { kind: 'gone', evidence: 'destroyed' } : { kind: 'there', machine };
}
