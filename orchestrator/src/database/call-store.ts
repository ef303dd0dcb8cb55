import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { type OwedCall, owedCallRow, sessionRow } from './rows.ts';

/** Realtime calls. A row without a hang-up is a call that somebody must still hang up. Throws DatabaseError. */
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

export function createCallStore(database: Database) {
  const call = callerOf(database);
  const keyOf = ({ machineId, epoch, ordinal }: CallOf) => ({
    p_machine_id: machineId,
    p_epoch: epoch,
    p_ordinal: ordinal,
  });
  return {
    /** Opens the row of the next call, or reopens the last one if it has no call id. */
    open: (of: CallOf, provider: string) => call('open_call', { ...keyOf(of), p_provider: provider }, openResult),
    /** False if this machine and epoch have no such call. */
    record: (of: CallOf, { credential, callId, hungUp = false }: CallNews): Promise<boolean> =>
      call(
        'record_call',
        {
          ...keyOf(of),
          p_credential_ciphertext: credential?.ciphertext ?? null,
          p_credential_ms: credential?.lifeMs ?? null,
          p_call_id: callId ?? null,
          p_hung_up: hungUp,
        },
        z.boolean(),
      ),
    /** Takes calls to hang up for one try: their session is over and their worker gone. */
    takeOwed: (limit: number, retryMs: number): Promise<OwedCall[]> =>
      call('calls_to_hang_up', { p_limit: limit, p_retry_ms: retryMs }, z.array(owedCallRow)),
    /** Records that the provider knows no such call, or (false) that it gave another answer. */
    recordMissing: (rowId: string, missing: boolean) =>
      call('record_call_missing', { p_call_row_id: rowId, p_missing: missing }, z.undefined()),
    recordHangUp: (rowId: string) => call('record_hang_up', { p_call_row_id: rowId }, z.undefined()),
  };
}
