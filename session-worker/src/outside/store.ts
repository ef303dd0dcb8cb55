import type { Database, DatabaseError } from '@greenroom/shared/database/client.ts';
import type { FunctionArguments, FunctionName, FunctionResult } from '@greenroom/shared/database/functions.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Presence, SessionStatus } from '@greenroom/shared/session/states.ts';
import * as z from 'zod';
import { fetchOver } from './fetch-over.ts';
import type { Http } from './http.ts';

/**
 * The worker's access to Postgres, through supabase-js as role `session_worker`. One try per call; every
 * result is returned as a value.
 *
 * - `fenced`: another machine serves the session; nothing more may be written.
 * - `unavailable`: try again later. `refused`: retrying this request is pointless. `tooMuch`: a smaller
 *   request may succeed.
 * - supabase-js is loaded by `preloadStore`, while the orchestrator answers the claim, or else by the first request.
 *   Loading it before the worker listens would delay the claim; loading it later could delay an SDP exchange.
 * - `append` succeeds only when the database function returns the ids of the entries, and `report` only when
 *   it returns the session's status: any other successful answer may come from something in between.
 */
export type StoreResult<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'fenced' }
  | { kind: 'unavailable'; error: Error; tooMuch?: boolean }
  | { kind: 'refused'; error: Error; tooMuch?: boolean };

export interface Report {
  status?: SessionStatus;
  outcome?: string;
  reason?: string;
  presence?: Presence;
}

export interface Store {
  report(report: Report): Promise<StoreResult<unknown>>;
  /** Reports an action in the call that neither we nor the provider took. */
  flag(kind: string, count: number): Promise<StoreResult<unknown>>;
  /** Stores that a recording of the session begins now. */
  recordingStarted(videoId: string): Promise<StoreResult<unknown>>;
  /** @returns the ids of the items that are stored. */
  append(entries: TranscriptEntry[]): Promise<StoreResult<string[]>>;
  /** The stored entries of the session, in conversation order. */
  transcript(): Promise<StoreResult<StoredLine[]>>;
}

const storedLine = z.object({
  ordinal: z.number(),
  item_id: z.string(),
  speaker: z.string(),
  text: z.string(),
  /** False: known only from the candidate's browser. */
  verified: z.boolean(),
});
export type StoredLine = z.output<typeof storedLine>;

/** Loads supabase-js, and what it loads itself when the first client is made. A failure shows in the first request. */
export const preloadStore = (): void =>
  void import('@greenroom/shared/database/client.ts')
    .then(({ createDatabase }) =>
      createDatabase({ url: 'http://127.0.0.1', publishableKey: 'none', accessToken: () => '' }),
    )
    .catch(() => undefined);

export interface StoreDeps {
  url: string;
  publishableKey: string;
  accessToken(): string;
  /** Limit of one request, ms. */
  requestMs: number;
  http: Http;
}

export function createStore({ url, publishableKey, accessToken, requestMs, http }: StoreDeps): Store {
  let opened: Promise<{ database: Database; module: DatabaseModule }> | undefined;
  const open = () => {
    opened ??= import('@greenroom/shared/database/client.ts').then((module) => ({
      module,
      database: module.createDatabase({ url, publishableKey, accessToken, fetch: fetchOver(http, requestMs) }),
    }));
    return opened;
  };

  const call = async <N extends FunctionName, T extends z.ZodType<FunctionResult<N>>>(
    name: N,
    parameters: FunctionArguments<N>,
    result: T,
  ): Promise<StoreResult<z.output<T>>> => {
    try {
      const { database, module } = await open();
      return { kind: 'ok', value: await module.callFunction(database, name, parameters, result) };
    } catch (error) {
      return classify(error);
    }
  };

  return {
    report: ({ status, outcome, reason, presence }) =>
      call(
        'worker_report',
        { p_status: status, p_outcome: outcome, p_reason: reason, p_presence: presence },
        z.looseObject({ status: z.string() }),
      ),
    flag: (kind, count) => call('flag_integrity', { p_kind: kind, p_count: count }, z.undefined()),
    recordingStarted: (videoId) => call('note_recording_started', { p_video_id: videoId }, z.undefined()),
    append: (entries) => call('append_transcript', { p_entries: entries }, idsOf(entries)),
    transcript: () => call('own_transcript', {}, z.array(storedLine)),
  };
}

/** Reads the ids that `append_transcript` returns and requires every entry to be among them. */
const idsOf = (entries: TranscriptEntry[]) =>
  z
    .array(z.string())
    .nullable()
    .transform((ids) => ids ?? [])
    .refine((ids) => entries.every((entry) => ids.includes(entry.item_id)), 'not every entry is stored');

type DatabaseModule = typeof import('@greenroom/shared/database/client.ts');

/**
 * `refused`: the row violates a constraint; retrying is pointless. Anything else is `unavailable` and is
 * retried.
 */
function classify(error: unknown): Exclude<StoreResult<never>, { kind: 'ok' }> {
  const { sqlstate = '', httpStatus, tooMuch = false } = error as Partial<DatabaseError>;
  if (sqlstate === 'PT409') return { kind: 'fenced' };
  // PostgREST answers a body it cannot read without an SQLSTATE. A proxy refuses one that is too large.
  const isRefused = /^2[23]/.test(sqlstate) || (sqlstate === '' && (httpStatus === 400 || httpStatus === 413));
  return { kind: isRefused ? 'refused' : 'unavailable', error: error as Error, tooMuch };
}
