import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { readServices } from '../../tools/start/services.ts';
import { type BareCloud, startBareCloud } from '../support/bare-cloud.ts';
import { endOf, platformOf, sessionBody, startInterview } from '../support/session.ts';

/** `npm start` with a database and a voice provider that are somebody else's: here those of another cloud. Fly stays simulated. */
let outside: BareCloud;
let stack: Stack;

beforeAll(async () => {
  outside = await startBareCloud();
  const quiet = { cwd: outside.dir, print: () => undefined, progress: () => undefined };
  const root = path.resolve(import.meta.dirname, '../..');
  expect(await runProgram(['migrate'], { environment: outside.variables, ...quiet }, root)).toBe(0);
  const { FLY_API_TOKEN: _notGiven, ...given } = outside.variables;
  const services = readServices(given);
  expect(services.filter(({ real }) => real).map(({ name }) => name)).toEqual(['Supabase', 'Voice', 'api.video']);
  stack = await startStack({
    real: {
      variables: Object.assign({}, ...services.map(({ variables }) => variables)),
      operatorToken: outside.operatorToken,
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await outside?.stop();
});

test('the printed key and the operator token work, and an interview uses the given database and voice provider', async () => {
  const interview = await startInterview(stack, sessionBody());
  expect((await interview.ended).outcome).toBe('completed');
  await endOf(stack, interview.session.session_id);
  expect(outside.cloud.voice.calls()).toHaveLength(1);
  expect(stack.cloud.voice.calls()).toHaveLength(0);
  expect((await platformOf(stack).transcript(interview.session.session_id)).entries.length).toBeGreaterThan(2);
  const tenant = await fetch(`${stack.publicUrl}/api/tenants/${stack.tenant.id}`, {
    headers: { authorization: `Bearer ${stack.operatorToken}` },
  });
  expect([tenant.status, stack.operatorToken]).toEqual([200, outside.operatorToken]);
});
