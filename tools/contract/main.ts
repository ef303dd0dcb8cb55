import { parseArgs } from 'node:util';
import { environmentWithFile } from '../../orchestrator/cli/console.ts';
import { evidenceOf, type Outcome, readRows } from './rows.ts';
import { standIns } from './stand-ins.ts';
import type { Case, ServiceName } from './suite.ts';
import { suiteOf } from './targets.ts';

/**
 * `npm run contract -- [--fly] [--supabase] [--openai] [--video] [--json]`: the contract suites against whatever the environment
 * (or .env) points to. Without the key of any service they run against stand-ins that it starts. A service without a key is
 * skipped. A run touches nothing that it did not make, and removes what it made.
 *
 * With SUPABASE_SECRET_KEY the Supabase suite also makes, bans and deletes one user.
 *
 * It ends with docs/outside.md as a list: a row counts as `shown` when all its cases passed on a real service.
 * Exit code 1 when a case failed or something is left, 2 when a service that was named has no key.
 */
const services: ServiceName[] = ['fly', 'supabase', 'openai', 'video'];

async function runCase(service: ServiceName, { title, row, run }: Case, real: boolean): Promise<Outcome> {
  const wrong = await run().then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { service, title, row, ok: wrong === undefined, detail: wrong ?? '', real };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      fly: { type: 'boolean' },
      supabase: { type: 'boolean' },
      openai: { type: 'boolean' },
      video: { type: 'boolean' },
      json: { type: 'boolean', default: false },
      'env-file': { type: 'string', default: '.env' },
    },
  });
  const print = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  const named = services.filter((service) => values[service]);
  const own = environmentWithFile(process.env, values['env-file'], false);
  const hasKeys = ['FLY_API_TOKEN', 'SUPABASE_URL', 'OPENAI_API_KEY', 'API_VIDEO_KEY'].some((name) => own[name]);
  const local = hasKeys ? undefined : await standIns();
  const outcomes: Outcome[] = [];
  const skipped: Array<{ service: ServiceName; why: string }> = [];
  const left: string[] = [];
  try {
    for (const service of named.length > 0 ? named : services) {
      const target = suiteOf(service, local?.environment ?? own);
      if ('why' in target) {
        skipped.push({ service, why: target.why });
        print(`skipped ${service}: ${target.why}`);
        continue;
      }
      print(`${service}: ${target.real ? `the real service. It costs ${target.suite.cost}.` : 'a stand-in'}`);
      try {
        for (const one of target.suite.cases) {
          const outcome = await runCase(service, one, target.real);
          outcomes.push(outcome);
          print(`  ${outcome.ok ? 'ok  ' : 'FAIL'} ${outcome.title}${outcome.ok ? '' : `: ${outcome.detail}`}`);
        }
      } finally {
        left.push(...(await target.suite.cleanUp().catch((error: Error) => [error.message])));
      }
    }
  } finally {
    await local?.stop();
  }
  for (const what of left) print(`LEFT ${what}`);
  const rows = readRows().map((row) => ({ ...row, evidence: evidenceOf(row, outcomes) }));
  print('\nWhat the product relies on (docs/outside.md), and the evidence for it:');
  for (const { service, claim, evidence } of rows) print(`  ${service}: ${claim}\n      ${evidence}`);
  const failed = outcomes.filter(({ ok }) => !ok).length;
  print(`\n${outcomes.length - failed} passed, ${failed} failed, ${skipped.length} services skipped`);
  const ok = failed === 0 && left.length === 0;
  if (values.json) process.stdout.write(`${JSON.stringify({ ok, outcomes, skipped, left, rows })}\n`);
  if (!ok) return 1;
  return skipped.some(({ service }) => named.includes(service)) ? 2 : 0;
}

process.exit(await main());
