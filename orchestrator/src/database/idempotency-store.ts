import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import { wasRolledBack } from './connection.ts';

/** The rows of Idempotency-Keys. Takes and stores are batched. Throws DatabaseError. */
export type IdempotencyStore = ReturnType<typeof createIdempotencyStore>;

/** A request with an Idempotency-Key. */
export interface KeyedRequest {
  /** The tenant's id, or `operator`. */
  scope: string;
  tenant_id: string | null;
  key: string;
  /** SHA-256 of the request, hex. */
  request_hash: string;
  /** Id of this attempt to run the request. */
  taken_by: string;
}

export interface AnswerToStore extends KeyedRequest {
  /** Null: nothing is stored, and the key becomes free. */
  sealed_answer: string | null;
  session_id: string | null;
  candidate_id: string | null;
}

const taken = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['taken', 'running', 'mismatch']) }),
  z.object({ kind: z.literal('answered'), sealed_answer: z.string() }),
]);
const stored = z.object({ sealed_answer: z.string().nullable() });

export function createIdempotencyStore(database: Database, holdMs: number) {
  const call = callerOf(database);
  return {
    take: createBatcher<KeyedRequest, z.output<typeof taken>>({
      run: (requests) =>
        call(
          'take_idempotency_keys',
          { p_requests: requests.map((request) => ({ ...request, hold_ms: holdMs })) },
          z.array(taken),
        ),
      isolate: wasRolledBack,
      concurrency: 2,
    }),
    /** Prolongs the hold of a request that still runs. */
    hold: (takenBy: string): Promise<undefined> =>
      call('hold_idempotency_keys', { p_taken_by: [takenBy], p_hold_ms: holdMs }, z.undefined()),
    /** Returns the answer that is stored, which may be that of another run of the same request. */
    store: createBatcher<AnswerToStore, z.output<typeof stored>>({
      run: (answers) => call('store_idempotent_answers', { p_answers: answers }, z.array(stored)),
      isolate: wasRolledBack,
      concurrency: 2,
    }),
    /** Deletes keys older than a day, at most `limit`. Returns how many. */
    prune: (limit: number): Promise<number> => call('prune_idempotency_keys', { p_limit: limit }, z.number()),
  };
}
