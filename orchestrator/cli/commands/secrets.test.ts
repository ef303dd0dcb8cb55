import { parseEnv } from 'node:util';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { makeEnvironment } from '../../src/testing.ts';
import { newSecrets } from './secrets.ts';

const consoleWith = (environment: Record<string, string>) => ({
  environment,
  cwd: '/',
  print: () => undefined,
  progress: () => undefined,
});
const made = async (environment: Record<string, string> = {}, args: string[] = []) =>
  parseEnv(
    (await newSecrets({ args, operator: 'sre', role: 'operator' }, consoleWith(environment))).lines.join('\n'),
  ) as Record<string, string>;

test('the lines are those that an orchestrator accepts', async () => {
  const secrets = await made();
  const config = readConfig({ ...(await makeEnvironment()), ...secrets });
  expect(config.keys.join).toHaveLength(1);
  expect(config.access.operators).toHaveLength(1);
  expect(Object.keys(secrets).toSorted()).toEqual([
    'CREDENTIALS_KEY',
    'DB_SIGNING_KEY',
    'GREENROOM_TOKEN',
    'JOIN_SIGNING_KEYS',
    'OPERATOR_TOKENS',
  ]);
});

test('a rotation keeps what still has to be read: the old join key verifies, the old credentials key opens', async () => {
  const before = await made();
  const after = readConfig({ ...(await makeEnvironment()), ...before, ...(await made(before)) });
  expect(after.keys.join.map(({ kid }) => kid)).toEqual([
    expect.any(String),
    JSON.parse(before.JOIN_SIGNING_KEYS ?? '').keys[0].kid,
  ]);
  expect(after.keys.previousCredentials?.toString('base64')).toBe(before.CREDENTIALS_KEY);
  expect(after.access.operators).toHaveLength(2);
});

test('only what is named is made, and an unknown name is refused', async () => {
  expect(Object.keys(await made({}, ['CREDENTIALS_KEY']))).toEqual(['CREDENTIALS_KEY']);
  await expect(made({}, ['OPENAI_API_KEY'])).rejects.toThrow('OPENAI_API_KEY is no secret that is made here');
});
