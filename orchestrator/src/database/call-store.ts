import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import { wasRolledBack } from './connection.ts';
import { type OwedCall, owedCallRow, sessionRow } from './rows.ts';

/**
 * Realtime calls. A row without a hang-up is a call that somebody must still hang up. What workers say about their calls is
 * stored in batches: a hundred candidates who arrive at once need a few rpcs. Throws DatabaseError.
 */
const openResult = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('opened'),
    session: sessionRow,
    /** The tenant's own template of the interviewer's instructions. */
    interviewer_template: z.string().nullable(),
  }),
  z.object({ kind: z.literal('fenced') }),
  z.object({ kind: z.literal('session_over') }),
  z.object({ kind: z.literal('wrong_ordinal'), next: z.number().int() }),
  z.object({ kind: z.literal('rate_limited'), retry_after_ms: z.number() }),
]);

export type Opened = Extract<z.output<typeof openResult>, { kind: 'opened' }>;

/** A call, and the machine and epoch that report about it. */
export interface CallOf {
  machineId: string;
  epoch: number;
  ordinal: number;
}

export interface CallNews {
  credential?: { ciphertext: string; lifeMs: number };
  callId?: string;
  hungUp?: boolean;
}

export type CallStore = ReturnType<typeof createCallStore>;

/** @param provider stored with each call */
export function createCallStore(database: Database, provider: string) {
  const call = callerOf(database);
  const keyOf = ({ machineId, epoch, ordinal }: CallOf) => ({ machine_id: machineId, epoch, ordinal });
  const batches = { isolate: wasRolledBack, concurrency: 2 };
  const newsRow = ([of, { credential, callId, hungUp = false }]: [CallOf, CallNews]) => ({
    ...keyOf(of),
    credential_ciphertext: credential?.ciphertext ?? null,
    credential_ms: credential?.lifeMs ?? null,
    call_id: callId ?? null,
    hung_up: hungUp,
  });
  const record = createBatcher<[CallOf, CallNews], boolean>({
    ...batches,
    run: (news) => call('record_calls', { p_calls: news.map(newsRow) }, z.array(z.boolean())),
  });
  return {
    /** Opens the row of the next call, or reopens the last one if it has no call id. Batched. */
    open: createBatcher<CallOf, z.output<typeof openResult>>({
      ...batches,
      run: (calls) => call('open_calls', { p_calls: calls.map(keyOf), p_provider: provider }, z.array(openResult)),
    }),
    /** False if this machine and epoch have no such call. Batched. */
    record: (of: CallOf, news: CallNews): Promise<boolean> => record([of, news]),
    /** Takes calls to hang up for one try: their session is over and their worker gone. */
    takeOwed: (limit: number, retryMs: number): Promise<OwedCall[]> =>
      call('calls_to_hang_up', { p_limit: limit, p_retry_ms: retryMs }, z.array(owedCallRow)),
    /** Records that the provider knows no such call, or (false) that it gave another answer. */
    recordMissing: (rowId: string, missing: boolean) =>
      call('record_call_missing', { p_call_row_id: rowId, p_missing: missing }, z.undefined()),
    recordHangUp: (rowId: string) => call('record_hang_up', { p_call_row_id: rowId }, z.undefined()),
  };
}
