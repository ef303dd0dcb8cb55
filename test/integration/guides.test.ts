import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { blocksOf, openShell, type PageShell } from '../support/page-shell.ts';

let stack: Stack;
let shell: PageShell;

beforeAll(async () => {
  stack = await startStack({ flyLimits: false });
  shell = openShell(stack.dir);
  const pick = (await blocksOf('quick-start.md')).find((block) => block.startsWith('pick()'));
  await shell.run(`GREENROOM=${stack.publicUrl} LIVE_KEY=${stack.tenant.apiKey}\n${pick}`);
});
afterAll(async () => {
  shell?.stop();
  await stack?.stop();
});

test('every block of docs/guides.md runs, in the order of the page', async () => {
  const [start = '', ...blocks] = await blocksOf('guides.md');
  await shell.run(start);
  const printed: string[] = [];
  for (const block of blocks) printed.push(await shell.run(block));
  const uuid = '[0-9a-f-]{36}';
  expect(printed).toEqual([
    '',
    expect.stringMatching(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\S+\n${uuid}\n$`)),
    expect.stringMatching(/^http:\S+#\S+\n$/),
    expect.stringMatching(uuid),
    expect.stringMatching(/^webhook\.test\n\w+\n$/),
    '2026-11\npending\n',
    expect.stringMatching(/^eras\w+\n$/),
    expect.stringMatching(uuid),
    expect.stringMatching(/^gr_live_\S+\n"cost_usd":/),
  ]);
});
