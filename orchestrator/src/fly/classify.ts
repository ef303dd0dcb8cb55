/**
 * Classifies Fly's answers from the raw response. No other code interprets them.
 *
 * The texts in the bodies are matched too (sources: docs of the Machines API, fly-go's error types,
 * measurements), because the same status means different things and the same condition comes with different
 * statuses.
 */
export interface RawResponse {
  status: number;
  /** Parsed JSON, or text if the body was not JSON. */
  body: unknown;
  requestId: string | undefined;
  retryAfterMs: number | undefined;
}

/** No answer came. The request may or may not have taken effect. */
export interface NoResponse {
  status: 0;
  error: unknown;
}

export type Raw = RawResponse | NoResponse;

/** The fields of a machine at Fly that are used here. */
export interface FlyMachine {
  id: string;
  name: string;
  state: string;
  region: string;
  hostStatus: string;
  metadata: Record<string, string>;
}

export type FlyRefusal =
  /** The region has no capacity. Try another. */
  | { kind: 'noCapacity' }
  /** One host is full or closed. The same request may succeed on another host. */
  | { kind: 'hostBusy' }
  /** The organisation's quota in this region is used up. */
  | { kind: 'quota' }
  | { kind: 'rateLimited'; retryAfterMs: number | undefined }
  /** The request may have taken effect. Check before creating anything under another name. */
  | { kind: 'ambiguous' }
  /** Not possible in the present state. Try again later. */
  | { kind: 'precondition' }
  /** This machine has the name already. It is ours: adopt it. */
  | { kind: 'nameTaken'; machineId: string }
  | { kind: 'notFound' }
  | { kind: 'unauthorized' }
  /** The request is wrong. Repeating it is pointless. */
  | { kind: 'fatal' };

/** With Fly's id of the request, if an answer came. */
export type CreateOutcome = { requestId?: string | undefined } & (
  | { kind: 'created'; machine: FlyMachine }
  | { kind: 'started'; machine: FlyMachine }
  | FlyRefusal
);

export const requestIdOf = (raw: Raw): string | undefined => ('error' in raw ? undefined : raw.requestId);

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const asText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The machine in a response body, or undefined if the body is not a machine. */
export function parseMachine(body: unknown): FlyMachine | undefined {
  const machine = asRecord(body);
  if (typeof machine.id !== 'string' || typeof machine.state !== 'string') return undefined;
  // A machine on a host that is not ok has only `incomplete_config`.
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

/** The texts in an error body of any shape. */
const errorText = (body: unknown): string =>
  typeof body === 'string' ? body : `${asText(asRecord(body).error)} ${asText(asRecord(body).message)}`;

const nameHolder = /unique machine name violation, machine ID (\w{1,64}) already exists/;

/** The first match wins, so special cases come first. */
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
 * Whether the Machines API itself wrote this error. A gateway, a captive portal or a wrong base URL answers
 * with its own pages, which say nothing about Fly.
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

/** Classifies an answer that is not a success. */
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

/** Classifies the answer to a create. */
export function classifyCreate(raw: Raw): CreateOutcome {
  const requestId = requestIdOf(raw);
  if (raw.status !== 200 && raw.status !== 201) return { ...classifyRefusal(raw), requestId };
  const machine = parseMachine((raw as RawResponse).body);
  // A success without a machine: it may exist, but its id is unknown.
  if (!machine) return { kind: 'ambiguous', requestId };
  return { kind: machine.state === 'started' ? 'started' : 'created', machine, requestId };
}

/**
 * Whether a machine exists at Fly. An unclear answer is not rounded to yes or no.
 *
 * `destroyed` is Fly's own statement about the machine. A 404 is weaker, because Fly has answered 404 about
 * running machines (flyctl PR 4618); how much it counts depends on what else is known about the machine.
 */
export type Presence =
  | { kind: 'there'; machine: FlyMachine }
  | { kind: 'gone'; evidence: 'destroyed' | '404' }
  | { kind: 'unclear'; evidence: string };

/** Classifies the answer to a GET of a machine. */
export function classifyGet(raw: Raw): Presence {
  if (raw.status === 404 && isFlys(raw as RawResponse)) return { kind: 'gone', evidence: '404' };
  if (raw.status !== 200) return { kind: 'unclear', evidence: raw.status === 0 ? 'no answer' : `HTTP ${raw.status}` };
  const machine = parseMachine((raw as RawResponse).body);
  if (!machine) return { kind: 'unclear', evidence: 'not a machine' };
  return machine.state === 'destroyed' ? { kind: 'gone', evidence: 'destroyed' } : { kind: 'there', machine };
}
