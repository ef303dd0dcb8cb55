import { DatabaseError } from '@greenroom/shared/database/client.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wasRolledBack } from '../../orchestrator/src/database/connection.ts';
import { createStore } from '../../session-worker/src/store.ts';
import {
  asWorker,
  type SeededSession,
  seedSession,
  serveSession,
  startDatabase,
  type TestDatabase,
} from '../support/database.ts';

/** What somebody who means harm, or a broken program, sends to us: never a 500, never a wait without end. */
describe('what reaches the database all the same', () => {
  let db: TestDatabase;
  let session: SeededSession;

  beforeAll(async () => {
    db = await startDatabase();
    session = await seedSession(db);
  });
  afterAll(() => db.stop());

  const broken = { ordinal: 1, item_id: 'i', previous_item_id: null, speaker: 'ai' as const, text: '\ud800' };

  test('a body that PostgREST cannot read spoils nobody else’s part of a batch', async () => {
    const claims = await serveSession(db, session);
    const error = await asWorker(db, claims, 'append_transcript', { p_entries: [broken] }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DatabaseError);
    expect(wasRolledBack(error)).toBe(true);
  });

  test('an entry that can never be stored is refused to the worker, not tried for ever', async () => {
    const { token } = await db.tokens.mintWorker(await serveSession(db, session));
    const { url, publishableKey } = db.supabase;
    const sessionId = session.id;
    const store = createStore({ url, publishableKey, sessionId, accessToken: () => token, requestMs: 10_000 });
    const rest = { confidence: null, start_ms: null, end_ms: null, interrupted: false, verified: true };
    expect(await store.append([{ ...broken, ...rest }])).toMatchObject({ kind: 'refused' });
    expect(await store.append([{ ...broken, ...rest, text: 'fine' }])).toEqual({ kind: 'ok', value: ['i'] });
  });
});
