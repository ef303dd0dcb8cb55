import { readFileSync } from 'node:fs';
import path from 'node:path';
import { functionNames } from '@greenroom/tools/functions/bundle.ts';
import { imageOfTree } from '@greenroom/tools/images/from-tree.ts';
import { serveFunction } from '@greenroom/tools/stack/edge-functions.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runningPerSecond, standbyPerSecond } from '../../orchestrator/src/regions/prices.ts';
import { type BareCloud, startBareCloud } from '../support/bare-cloud.ts';
import { type Act, doctorLines, notDone, readActs, readPage, root, runScript } from '../support/deploy-page.ts';

/**
 * Follows docs/deploy.md from its first to its last line, on a local cloud without any deployment. The short form: images come from the
 * working tree instead of `--build`. With IMAGES=built (`npm run test:full`) they are built from their Dockerfiles.
 */
const built = process.env.IMAGES === 'built';
const acts = readPage();
const steps = acts.filter((act) => act.kind === 'console step');
/** May shrink, never grow. */
const notRunAtMost = 5;

let bare: BareCloud;
const layouts: Record<string, string> = {};
const functions: Array<{ stop(): Promise<unknown> }> = [];
let executed = 0;
let proven = 0;

beforeAll(async () => {
  bare = await startBareCloud();
  bare.cloud.fly.crossNetworkReplay.enable();
  // What `supabase functions deploy` and `secrets set` do on a hosted project.
  const settings = {
    PUBLIC_URL: bare.variables.PUBLIC_URL as string,
    ORCHESTRATOR_URL: bare.variables.PUBLIC_URL as string,
  };
  for (const name of functionNames) functions.push(await serveFunction(name, bare.cloud.supabase, settings));
  for (const name of ['worker', 'orchestrator'] as const)
    for (const release of [1, 2]) {
      const layout = path.join(bare.dir, `${name}-${release}.oci`);
      await imageOfTree(name, layout, [`RELEASE=${release}`]);
      layouts[`${name} ${release}`] = layout;
    }
});
afterAll(async () => {
  await Promise.all(functions.map((served) => served.stop()));
  await bare?.stop();
  console.info(
    `docs/deploy.md: ${executed} executed, ${proven} console steps proven, ${acts.length - executed - proven} not run`,
  );
});

const dayTwo = readFileSync(path.join(root, 'docs/deploy.md'), 'utf8').split('\n').indexOf('# Day two');

/** A second image for the upgrade. The short form builds none. */
function withImages({ script, line }: Act & { script: string }): string {
  const release = line > dayTwo ? 2 : 1;
  if (built && release === 1) return script;
  return script.replace(
    /(deploy (worker|orchestrator).*) --build/g,
    (_, command, name) => `${command} --oci ${layouts[`${name} ${release}`]}`,
  );
}

describe('docs/deploy.md', () => {
  for (const act of acts) {
    if (act.kind !== 'executed') continue;
    const [first = ''] = act.script.split('\n');
    test(`line ${act.line}: ${first}`, async () => {
      const { code, stdout, stderr } = await runScript(withImages(act), bare);
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      executed += 1;
    }, 900_000);
  }

  test.each(steps)('console step $number is proven by the doctor line $check', async ({ check }) => {
    const how = notDone[check];
    if (how === undefined)
      throw new Error(`the test cannot make the stand-in behave as if the step of ${check} was not done`);
    expect((await doctorLines(bare)).get(check)).toMatchObject({ status: 'ok' });
    await how.undo?.(bare);
    const without = await doctorLines(bare, (await how.changes?.()) ?? {});
    await how.redo?.(bare);
    expect(without.get(check)?.status).toBe('fail');
    expect((await doctorLines(bare)).get(check)).toMatchObject({ status: 'ok' });
    proven += 1;
  });

  test('no more is left unproven than before', () => {
    expect(acts.length - executed - proven).toBeLessThanOrEqual(notRunAtMost);
  });

  test('the page states the costs that follow from the price list', () => {
    const page = readFileSync(path.join(root, 'docs/deploy.md'), 'utf8');
    const monthS = 30 * 86_400;
    const orchestrator = { cpu_kind: 'shared', cpus: 2, memory_mb: 1_024 };
    const worker = { cpu_kind: 'shared', cpus: 1, memory_mb: 512 };
    const idle = (runningPerSecond(orchestrator, 'fra') + runningPerSecond(orchestrator, 'iad')) * monthS;
    const figures = [
      idle.toFixed(2),
      (runningPerSecond(worker, 'fra') * 1_800).toFixed(4),
      (standbyPerSecond() * monthS).toFixed(3),
      (runningPerSecond(worker, 'fra') * monthS).toFixed(2),
    ];
    for (const figure of figures) expect(page).toContain(`$${figure}`);
  });
});

describe('a page that is wrong', () => {
  test.each([
    [
      'a block that says neither how it is run nor that it is not',
      '```sh\nls\n```\n',
      'a block is executed or not-run',
    ],
    ['a console step without a line that proves it', '**Console step 1.** Click.\n\n', 'names no doctor line'],
  ])('%s is refused', (_what, page, complaint) => {
    expect(() => readActs(page)).toThrow(complaint);
  });
});
