import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { callFunction, createDatabase, type Database, DatabaseError, databaseAppError } from './client.ts';
import type { FunctionName } from './functions.ts';

/** A database whose fetch always gives the same answer, with the number of its requests. */
function behind(status: number, body: string) {
  let asked = 0;
  const send = (async () => {
    asked += 1;
    return new Response(status === 204 ? null : body, { status });
  }) as typeof fetch;
  const options = { url: 'http://database.test', publishableKey: 'pk', accessToken: () => 'token' };
  return { database: createDatabase({ ...options, fetch: send }), asked: () => asked };
}

/** Any function with a JSON result, for which any schema is allowed. */
const askSession = <T extends z.ZodType>(database: Database, result: T) =>
  callFunction(database, 'get_session', { p_session_id: 'session-1' }, result);

describe('calls of database functions', () => {
  test.each([
    ['without a body', '', 502, true],
    ['with no rows', '[]', 502, true],
    ['with a page', '<html>', 502, true],
    ['of PostgREST: its schema cache is old', '{"code":"PGRST202","message":"no"}', 404, true],
  ])('a 404 %s is a failure, of a call and of a read', async (_what, body, httpStatus, unavailable) => {
    const { database } = behind(404, body);
    const called = await askSession(database, z.unknown()).catch((error: unknown) => error);
    expect(called).toBeInstanceOf(DatabaseError);
    expect(called).toMatchObject({ httpStatus, unavailable });
    const { error, data } = await database.rpc('get_session', { p_session_id: 'session-1' }, { get: true });
    expect([error === null, data]).toEqual([false, null]);
  });

  test('a failing read is tried once: the caller decides about retries', async () => {
    const { database, asked } = behind(503, '{"code":"PGRST001","message":"no connection"}');
    expect((await database.rpc('get_session', { p_session_id: 'session-1' }, { get: true })).status).toBe(503);
    expect(asked()).toBe(1);
  });

  test.each([
    ['an empty page', 200, '', z.string().nullable()],
    ['a page of HTML', 200, '<html>ok</html>', z.unknown()],
    ['JSON of somebody else', 200, '{"status":"ok"}', z.string().nullable()],
    ['JSON of somebody else for a function without a result', 200, '{"status":"ok"}', z.undefined()],
    ['nothing from a function with a result', 204, '', z.string().nullable()],
  ])('a success that the function did not send is no answer: %s', async (_what, status, body, result) => {
    const called = await askSession(behind(status, body).database, result).catch((error: unknown) => error);
    expect(called).toBeInstanceOf(DatabaseError);
    expect(called).toMatchObject({ unavailable: true, refused: false });
  });

  test('null is a valid answer, and so is an empty one of a function without a result', async () => {
    expect(await askSession(behind(200, 'null').database, z.string().nullable())).toBeNull();
    expect(await askSession(behind(204, '').database, z.undefined())).toBeUndefined();
  });

  test.each([
    ['the clocks differ', 401, 'PGRST303'],
    ['the schema cache is old', 404, 'PGRST202'],
    ['the schema cache cannot be read', 503, 'PGRST002'],
    ['no connection in time', 504, 'PGRST003'],
    ['the statement took too long', 500, '57014'],
    ['too many connections', 500, '53300'],
    ['the server became a replica', 500, '25006'],
    ['a gateway that names no code', 500, ''],
  ])('trouble that passes is 503 with Retry-After: %s', async (_what, status, code) => {
    const { database } = behind(status, JSON.stringify({ code, message: 'no' }));
    const error = await askSession(database, z.unknown()).catch(databaseAppError);
    expect(error).toMatchObject({ code: 'database_unavailable', status: 503, retryAfterS: expect.any(Number) });
  });

  test.each([
    ['a value that is too long', 400, '22001'],
    ['a missing right', 403, '42501'],
    ['a function that another one calls is missing', 404, '42883'],
  ])('trouble that stays is 500: %s', async (_what, status, code) => {
    const { database } = behind(status, JSON.stringify({ code, message: 'no' }));
    const error = await askSession(database, z.unknown()).catch(databaseAppError);
    expect(error).toMatchObject({ code: 'internal_error', cause: { refused: true } });
  });

  test('the compiler refuses calls that return rows, which PostgREST would truncate silently', () => {
    const { database } = behind(200, '[]');
    // @ts-expect-error: access to a table would read rows
    expect(typeof database.from).toBe('function');
    // @ts-expect-error: it returns rows; transcript_to_evaluate returns the whole
    const name: FunctionName = 'transcript_of';
    expect(name).toBe('transcript_of');
  });
});

describe('what the compiler checks of a call', () => {
  // `tsc` reports an unused @ts-expect-error: these lines fail to compile when a check is lost.
  const { database } = behind(200, 'true');

  test('the name of the function, its arguments and its result', async () => {
    const calls = [
      callFunction(database, 'app_ready', { p_name: 'app' }, z.boolean()),
      callFunction(database, 'rerun_result', { p_session_id: 's', p_by: null }, z.unknown().transform(String)),
      // @ts-expect-error: no such function
      callFunction(database, 'app_raedy', { p_name: 'app' }, z.boolean()),
      // @ts-expect-error: no such argument
      callFunction(database, 'app_ready', { name: 'app' }, z.boolean()),
      // @ts-expect-error: an argument is missing
      callFunction(database, 'app_ready', {}, z.boolean()),
      // @ts-expect-error: an argument of another type
      callFunction(database, 'app_ready', { p_name: 1 }, z.boolean()),
      // @ts-expect-error: another result
      callFunction(database, 'app_ready', { p_name: 'app' }, z.string()).catch(() => 'refused'),
    ];
    expect(await Promise.all(calls)).toEqual([true, 'true', true, true, true, true, 'refused']);
  });
});
