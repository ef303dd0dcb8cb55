import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Said, Say, ServiceName } from './suite.ts';

/**
 * Recordings of a service's answers, and their replay.
 *
 * - `npm run contract -- --record DIR` writes one file per service with the answers to every case that only asks over HTTP.
 *   `--replay DIR` runs the same checks against these files, without a network.
 * - A recording contains no secret and nothing about anybody: keys, tokens and e-mail addresses are struck out wherever they stand,
 *   as are the variables and files of machines. Of a list only the items of this run are kept.
 * - What differs in each run, such as the name of the app, is stored as `{{app}}`. A replay puts its own value there.
 * - A replay follows the recording request by request. A suite that asks something else must be recorded again.
 */
export interface Exchange {
  method: string;
  /** With query. */
  path: string;
  status: number;
  headers: Record<string, string>;
  /** Parsed JSON; otherwise the text. */
  body: unknown;
}

export interface Recording {
  service: ServiceName;
  /** Whether the real service answered. A recording of a stand-in proves only the mechanism. */
  real: boolean;
  recordedAt: string;
  cases: Array<{ title: string; exchanges: Exchange[] }>;
}

/** Headers that a check or our code reads. */
const kept = ['content-type', 'content-range', 'location', 'retry-after'];
const struck = 'struck-out';
const personalFields = new Set(['email', 'user', 'user_id', 'phone', 'token_id', 'private_ip', 'ips']);
const emptiedFields = new Set(['env', 'files', 'init']);
/** Lists of everything that an account has. */
const accountLists = new Set(['apps', 'machines', 'data']);
const secrets = [
  /\bFlyV1 [\w.,+/=-]+/g,
  /\b(?:fo1|fm[12]|sk|ek|sb|sbp)[_-][\w.+/=-]{6,}/g,
  /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g,
  /[\w.+-]+@[\w-]+\.[\w.]+/g,
];

type Names = Readonly<Record<string, string>>;

/** Longest first: one value may be the beginning of another. */
const byLength = (names: Names) => Object.entries(names).toSorted(([, a], [, b]) => b.length - a.length);
const withPlaces = (text: string, names: Names): string =>
  byLength(names).reduce((changed, [name, value]) => changed.replaceAll(value, `{{${name}}}`), text);
const withValues = (text: string, names: Names): string =>
  byLength(names).reduce((changed, [name, value]) => changed.replaceAll(`{{${name}}}`, value), text);

const isOurs = (item: unknown, names: Names): boolean => {
  const text = JSON.stringify(item);
  return Object.values(names).some((value) => text.includes(value));
};

/** Removes what must not leave the machine. @param known secrets of this run, whatever their form */
export function strikeOut(value: unknown, names: Names, known: readonly string[]): unknown {
  if (typeof value === 'string') {
    const withoutKnown = known.reduce((text, secret) => text.replaceAll(secret, struck), value);
    return secrets.reduce((text, pattern) => text.replaceAll(pattern, struck), withoutKnown);
  }
  if (Array.isArray(value)) return value.map((item) => strikeOut(item, names, known));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([field, inner]) => {
      if (personalFields.has(field) && typeof inner === 'string') return [field, struck];
      if (emptiedFields.has(field)) return [field, Array.isArray(inner) ? [] : inner === null ? null : {}];
      const own = accountLists.has(field) && Array.isArray(inner) ? inner.filter((one) => isOurs(one, names)) : inner;
      return [field, strikeOut(own, names, known)];
    }),
  );
}

const pathOf = (url: string): string => url.replace(/^\w+:\/\/[^/]*/, '');

export interface Recorder {
  say: Say;
  begin(title: string): void;
  recording(of: { service: ServiceName; real: boolean; names: Names; secrets: readonly string[] }): Recording;
}

export function createRecorder(say: Say): Recorder {
  const cases: Recording['cases'] = [];
  return {
    begin: (title) => void cases.push({ title, exchanges: [] }),
    say: async (url, init = {}) => {
      const said = await say(url, init);
      const { status, text, body = text } = said;
      const headers = Object.fromEntries(kept.flatMap((name) => [[name, said.headers.get(name)]].filter(([, v]) => v)));
      cases.at(-1)?.exchanges.push({ method: init.method ?? 'GET', path: pathOf(url), status, headers, body });
      return said;
    },
    recording: ({ service, real, names, secrets: known }) => {
      const clean = strikeOut(cases, names, known);
      const recordedCases = JSON.parse(withPlaces(JSON.stringify(clean), names)) as Recording['cases'];
      const told = recordedCases.filter(({ exchanges }) => exchanges.length > 0);
      return { service, real, recordedAt: new Date().toISOString(), cases: told };
    },
  };
}

export interface Player {
  say: Say;
  begin(title: string): void;
  /** Whether the recording has answers for the case. */
  has(title: string): boolean;
  /** Values of this run for the places in the recording. */
  use(names: Names): void;
}

export function createPlayer({ cases }: Pick<Recording, 'cases'>): Player {
  let current: Exchange[] = [];
  let names: Names = {};
  const exchangesOf = (title: string) => cases.find((recorded) => recorded.title === title)?.exchanges;
  return {
    has: (title) => exchangesOf(title) !== undefined,
    use: (values) => {
      names = values;
    },
    begin: (title) => {
      current = [...(exchangesOf(title) ?? [])];
    },
    say: async (url, { method = 'GET' } = {}) => {
      const next = current.shift();
      const asked = `${method} ${pathOf(url)}`;
      const recorded = next && withValues(`${next.method} ${next.path}`, names);
      if (recorded !== asked)
        throw new Error(`the suite asks ${asked}, the recording has ${recorded ?? 'no more answers'}: record it again`);
      return saidOf(next as Exchange, names);
    },
  };
}

function saidOf({ status, headers, body }: Exchange, names: Names): Said {
  const isText = typeof body === 'string';
  const text = withValues(isText ? body : JSON.stringify(body), names);
  return { status, headers: new Headers(headers), text, body: isText ? undefined : JSON.parse(text) };
}

const fileOf = (dir: string, service: ServiceName): string => path.join(dir, `${service}.json`);

export function writeRecording(dir: string, recording: Recording): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(fileOf(dir, recording.service), `${JSON.stringify(recording, null, 2)}\n`);
}

/** Undefined: the folder has no recording of this service. */
export function readRecording(dir: string, service: ServiceName): Recording | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(dir, service), 'utf8')) as Recording;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
