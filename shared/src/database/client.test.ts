import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { callFunction, createDatabase, DatabaseError } from './client.ts';

/** A database behind a fetch that always answers the same, and how often it was asked. */
function behind(status: number, body: string) {
  let asked = 0;
  const send = (async () => {
    asked += 1;
    return new Response(body, { status });
  }) as typeof fetch;
  const options = { url: 'http://database.test', publishableKey: 'pk', accessToken: () => 'token' };
  return { database: createDatabase({ ...options, fetch: send }), asked: () => asked };
}

describe('the way to the database', () => {
  test.each([
    ['without a body', '', 502, true],
    ['with no rows', '[]', 502, true],
    ['with a page', '<html>', 502, true],
    ['of PostgREST: no such function', '{"code":"PGRST202","message":"no"}', 404, false],
  ])('a 404 %s is a failure, of a call and of a read', async (_what, body, httpStatus, unavailable) => {
    const { database } = behind(404, body);
    const called = await callFunction(database, 'f', {}, z.unknown()).catch((error: unknown) => error);
    expect(called).toBeInstanceOf(DatabaseError);
    expect(called).toMatchObject({ httpStatus, unavailable });
    const { error, data } = await database.from('t').select('a');
    expect([error === null, data]).toEqual([false, null]);
  });

  test('a read that fails is tried once: who asks decides about retries', async () => {
    const { database, asked } = behind(503, '{"code":"PGRST001","message":"no connection"}');
    expect((await database.from('t').select('a')).status).toBe(503);
    expect(asked()).toBe(1);
  });
});
