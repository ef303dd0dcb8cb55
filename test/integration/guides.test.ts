import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServedFunction, serveFunction } from '../../tools/stack/edge-functions.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { blocksOf, openShell, type PageShell } from '../support/page-shell.ts';

let stack: Stack;
let shell: PageShell;
let start: ServedFunction;

beforeAll(async () => {
  stack = await startStack({ flyLimits: false });
  const { supabase } = stack.cloud;
  await supabase.createUser({ email: 'grace@example.com', password: 'correct horse battery' });
  start = await serveFunction('interview-start', supabase, {
    ORCHESTRATOR_URL: stack.publicUrl,
    ALLOWED_ORIGINS: 'https://jobs.example.com',
  });
  shell = openShell(stack.dir);
  await shell.run(`SUPABASE_URL=${supabase.url} SUPABASE_KEY=${supabase.publishableKey}`);
  const pick = (await blocksOf('quick-start.md')).find((block) => block.startsWith('pick()'));
  await shell.run(
    `GREENROOM=${stack.publicUrl} LIVE_KEY=${stack.tenant.apiKey} OPERATOR=${stack.operatorToken}\n${pick}`,
  );
});
afterAll(async () => {
  shell?.stop();
  await start?.stop();
  await stack?.stop();
});

test('every block of docs/guides.md runs, in the order of the page', async () => {
  const [first = '', ...blocks] = await blocksOf('guides.md');
  await shell.run(first);
  const printed: string[] = [];
  for (const block of blocks) printed.push(await shell.run(block));
  const uuid = '[0-9a-f-]{36}';
  expect(printed).toEqual([
    '',
    expect.stringMatching(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\S+\n${uuid}\n$`)),
    expect.stringMatching(/^http:\S+#\S+\n$/),
    expect.stringMatching(uuid),
    '',
    expect.stringMatching(/^http:\S+#\S+\n$/),
    expect.stringMatching(/^webhook\.test\n\w+\n$/),
    '2026-11\npending\n',
    expect.stringMatching(/^eras\w+\n$/),
    expect.stringMatching(uuid),
    expect.stringMatching(/^gr_live_\S+\n$/),
    '',
    expect.stringMatching(/^gr_live_\S+\n"cost_usd":/),
    expect.stringMatching(/^\/api\/\S+\n$/),
  ]);
});

test('the page of a front end without a backend gets the link of the same interview', async () => {
  const [page = '', ...others] = await blocksOf('guides.md', 'js');
  expect(others).toEqual([]);
  const { url, publishableKey } = stack.cloud.supabase;
  const { outputFiles } = await build({
    stdin: { contents: page, resolveDir: import.meta.dirname },
    ...{ bundle: true, write: false, format: 'esm', platform: 'node', logLevel: 'silent' },
    define: { SUPABASE_URL: JSON.stringify(url), SUPABASE_KEY: JSON.stringify(publishableKey) },
    banner: { js: 'globalThis.location = {};' },
    footer: { js: 'console.log(location.href); process.exit();' },
  });
  const file = path.join(stack.dir, 'page.mjs');
  await writeFile(file, outputFiles[0]?.text ?? '');
  const twice = [await shell.run(`node ${file}`), await shell.run(`node ${file}`)];
  expect(twice).toEqual([expect.stringMatching(/^http:\S+#\S+\n$/), twice[0]]);
});
