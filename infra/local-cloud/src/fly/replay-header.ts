/** Reads the `fly-replay` header of an app's answer, and writes the headers that targets and origins get. */

export interface Replay {
  app: string | undefined;
  instance: string | undefined;
  preferInstance: string | undefined;
  /** In order of preference; the last may be `any`. */
  regions: string[];
  elsewhere: boolean;
  state: string | undefined;
  timeoutMs: number | undefined;
  fallback: 'force_self' | 'prefer_self' | undefined;
}

export type ReplayFailure = 'timeout' | 'retries_exhausted' | 'no_candidate';

const unquote = (text: string) => text.replace(/^"(.*)"$/, '$1');

function readTimeoutMs(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text ?? '');
  if (!match) return undefined;
  return Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm'];
}

/** Fields are separated by `;`; a value ends at the first `;` outside quotes. Unknown fields are ignored. */
export function parseReplay(header: string): Replay {
  const fields = new Map<string, string>();
  for (const part of header.match(/(?:[^;"]|"[^"]*")+/g) ?? []) {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals).trim().toLowerCase(), unquote(part.slice(equals + 1).trim()));
  }
  const fallback = fields.get('fallback');
  return {
    app: fields.get('app'),
    instance: fields.get('instance'),
    preferInstance: fields.get('prefer_instance'),
    regions:
      fields
        .get('region')
        ?.split(',')
        .map((code) => code.trim()) ?? [],
    elsewhere: fields.get('elsewhere') === 'true',
    state: fields.get('state'),
    timeoutMs: readTimeoutMs(fields.get('timeout')),
    fallback: fallback === 'force_self' || fallback === 'prefer_self' ? fallback : undefined,
  };
}

/** @param atMs Unix milliseconds; the header has microseconds. */
export function replaySource(source: { instance: string; region: string }, atMs: number, state: string | undefined) {
  const base = `instance=${source.instance};region=${source.region};t=${Math.round(atMs * 1_000)}`;
  return state === undefined ? base : `${base};state=${state}`;
}

export function replayFailed(failure: {
  replay: Replay;
  app: string;
  region: string;
  source: string;
  reason: ReplayFailure;
  elapsedMs: number;
}): string {
  return [
    `instance=${failure.replay.instance ?? failure.replay.preferInstance ?? ''}`,
    `app=${failure.app}`,
    `region=${failure.region}`,
    `replay_source=${failure.source}`,
    `reason=${failure.reason}`,
    `elapsed_ms=${Math.round(failure.elapsedMs)}`,
  ].join(';');
}
