import type { Database, DatabaseError } from '@greenroom/shared/database/client.ts';
import type { FunctionArguments, FunctionName, FunctionResult } from '@greenroom/shared/database/functions.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Presence, SessionStatus } from '@greenroom/shared/session/states.ts';
import * as z from 'zod';
import { fetchOver } from './fetch-over.ts';
import type { Http } from './http.ts';

/**
 * The worker's door to Postgres, through supabase-js as role `session_worker`. One try per call, every ending a value.
 *
 * D1  `fenced`: another machine serves the session; nothing may be written any more.
 * D2  `unavailable`: try again later. `refused`: this very request will never work. `tooMuch`: less of it may.
 * D3  supabase-js is loaded by `warm`, else with the first request: not at boot, where every millisecond is the
 *     candidate's, and not in the middle of an SDP exchange either.
 * D4  Entries are stored when the function itself names them, a report is in when it says the session's status: anything else
 *     that looks like success may be somebody else's.
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
  /** Loads what the first request needs (D3). Failures show with the first request. */
  warm(): void;
  report(report: Report): Promise<StoreResult<unknown>>;
  /** Something in the call came from nobody on our side. */
  flag(kind: string, count: number): Promise<StoreResult<unknown>>;
  /** @returns the item ids that are stored now. */
  append(entries: TranscriptEntry[]): Promise<StoreResult<string[]>>;
  /** The session's stored entries, in the conversation's order. */
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
    warm: () => void open().catch(() => undefined),
    report: ({ status, outcome, reason, presence }) =>
      call(
        'worker_report',
        { p_status: status, p_outcome: outcome, p_reason: reason, p_presence: presence },
        z.looseObject({ status: z.string() }),
      ),
    flag: (kind, count) => call('flag_integrity', { p_kind: kind, p_count: count }, z.undefined()),
    append: (entries) => call('append_transcript', { p_entries: entries }, idsOf(entries)),
    transcript: () => call('own_transcript', {}, z.array(storedLine)),
  };
}

/** D4. */
const idsOf = (entries: TranscriptEntry[]) =>
  z
    .array(z.string())
    .nullable()
    .transform((ids) => ids ?? [])
    .refine((ids) => entries.every((entry) => ids.includes(entry.item_id)), 'not every entry is stored');

type DatabaseModule = typeof import('@greenroom/shared/database/client.ts');

/** D2. Refused: the data itself makes it impossible. Anything else may work later. */
function classify(error: unknown): Exclude<StoreResult<never>, { kind: 'ok' }> {
  const { sqlstate = '', httpStatus, tooMuch = false } = error as Partial<DatabaseError>;
  if (sqlstate === 'PT409') return { kind: 'fenced' };
  // A body that PostgREST itself cannot read has no SQLSTATE; one that a proxy finds too large never reaches PostgREST.
  const isRefused = /^2[23]/.test(sqlstate) || (sqlstate === '' && (httpStatus === 400 || httpStatus === 413));
  return { kind: isRefused ? 'refused' : 'unavailable', error: error as Error, tooMuch };
}
