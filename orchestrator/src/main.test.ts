import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, test } from 'vitest';

test('an orchestrator with a wrong configuration names all missing or wrong variables and shows no values', async () => {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'main.ts')], {
    env: { PATH: process.env.PATH ?? '', PORT: '99999', FLY_API_TOKEN: 'fo1_secret', DB_SIGNING_KEY: '{"d":"secret"}' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = await once(child, 'close');
  expect(code).toBe(78);
  for (const line of ['set PUBLIC_URL', 'set SUPABASE_URL', 'PORT is wrong', 'DB_SIGNING_KEY is wrong'])
    expect(text).toContain(line);
  expect(text).not.toContain('secret');
}, 30_000);
