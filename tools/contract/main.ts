import { parseArgs } from 'node:util';
import { environmentWithFile } from '../../orchestrator/cli/console.ts';
import { createRecorder, writeRecording } from './recording.ts';
import { replay } from './replay.ts';
import { evidenceOf, type Outcome, readRows } from './rows.ts';
import { runCase } from './run-case.ts';
import { standIns } from './stand-ins.ts';
import { type ServiceName, say } from './suite.ts';
import { secretsOf, suiteOf } from './targets.ts';

/**
 * `npm run contract -- [--fly] [--supabase] [--openai] [--video] [--record DIR | --replay DIR] [--json]`: the contract suites against whatever the environment
 * (or .env) points to. Without the key of any service they run against stand-ins that it starts. A service without a key is
 * skipped. A run touches nothing that it did not make, and removes what it made.
 *
 * With SUPABASE_SECRET_KEY the Supabase suite also makes, bans and deletes one user.
 *
 * `--record DIR` also writes the answers to files without secrets, and `--replay DIR` checks such files instead of asking anybody.
 *
 * It ends with docs/outside.md as a list: a row counts as `shown` when all its cases passed on a real service.
 * Exit code 1 when a case failed or something is left, 2 when a service that was named has no key.
 */
const services: ServiceName[] = ['fly', 'supabase', 'openai', 'video'];

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      fly: { type: 'boolean' },
      supabase: { type: 'boolean' },
      openai: { type: 'boolean' },
      video: { type: 'boolean' },
      record: { type: 'string' },
      replay: { type: 'string' },
      json: { type: 'boolean', default: false },
      'env-file': { type: 'string', default: '.env' },
    },
  });
  const print = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  const named = services.filter((service) => values[service]);
  if (values.replay !== undefined) {
    const outcomes = await replay(values.replay, named.length > 0 ? named : services);
    for (const { service, title, ok, detail } of outcomes)
      print(`  ${ok ? 'ok  ' : 'FAIL'} ${service}: ${title}${ok ? '' : `: ${detail}`}`);
    const wrong = outcomes.filter(({ ok }) => !ok).length;
    print(`\n${outcomes.length - wrong} recorded cases passed, ${wrong} failed`);
    if (values.json) process.stdout.write(`${JSON.stringify({ ok: wrong === 0, outcomes })}\n`);
    return wrong === 0 ? 0 : 1;
  }
  const own = environmentWithFile(process.env, values['env-file'], false);
  const hasKeys = ['FLY_API_TOKEN', 'SUPABASE_URL', 'OPENAI_API_KEY', 'API_VIDEO_KEY'].some((name) => own[name]);
  const local = hasKeys ? undefined : await standIns();
  const outcomes: Outcome[] = [];
  const skipped: Array<{ service: ServiceName; why: string }> = [];
  const left: string[] = [];
  try {
    for (const service of named.length > 0 ? named : services) {
      const environment = local?.environment ?? own;
      const recorder = createRecorder(say);
      const target = suiteOf(service, environment, recorder.say);
      if ('why' in target) {
        skipped.push({ service, why: target.why });
        print(`skipped ${service}: ${target.why}`);
        continue;
      }
      print(`${service}: ${target.real ? `the real service. It costs ${target.suite.cost}.` : 'a stand-in'}`);
      try {
        for (const one of target.suite.cases) {
          recorder.begin(one.title);
          const outcome = await runCase(service, one, target.real);
          outcomes.push(outcome);
          print(`  ${outcome.ok ? 'ok  ' : 'FAIL'} ${outcome.title}${outcome.ok ? '' : `: ${outcome.detail}`}`);
        }
        const of = { service, real: target.real, names: target.suite.names, secrets: secretsOf(environment) };
        if (values.record !== undefined) writeRecording(values.record, recorder.recording(of));
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
