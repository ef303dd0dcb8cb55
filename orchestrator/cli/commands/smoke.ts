import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, readConfig } from '../../src/config.ts';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';
import { createFlyAdmin } from '../deploy/fly-admin.ts';
import { createPlatform, type Platform } from '../platform.ts';
import { askAboutCalls, type OpenedCall, watchCalls } from '../smoke/provider-calls.ts';
import { createRows, type Rows } from '../smoke/rows.ts';

/**
 * `greenroom smoke`: creates a tenant, holds one real interview with a synthetic candidate, removes the tenant, and proves that
 * nothing is left: no machine or app at Fly, no call that is still open, no personal data in the database. Each of the three is
 * asked itself.
 *
 * The tenant is removed even if the interview fails, and when the command is interrupted.
 */
interface Options {
  region?: string;
  seconds: string;
  dryRun?: true;
}

interface Session {
  session_id: string;
  status: string;
  reason: string | null;
  outcome: string | null;
  websocket_url: string;
  join_token: string | null;
}
interface Tenant {
  id: string;
  apps: Array<{ name: string; status: string }>;
}
interface Check {
  what: string;
  ok: boolean;
  detail: string;
}

const readyLimitMs = 180_000;
const finishedLimitMs = 180_000;
const removedLimitMs = 180_000;
const pollMs = 250;
const endedStatuses = new Set(['completed', 'failed', 'cancelled', 'expired']);

/** Polls until `find` finds something. */
async function until<T>(what: string, limitMs: number, find: () => Promise<T | undefined>): Promise<T> {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > deadlineMs)
      throw new CliError('timedOut', 'timed_out', `${what}: not after ${limitMs / 1_000} s.`);
    await sleep(pollMs);
  }
}

/** Runs the candidate's process. @returns the steps that it reported */
function takePart(session: Session, seconds: number, home: string, { progress }: Console): Promise<string[]> {
  const child = spawn(process.execPath, [path.join(home, 'tools/candidate/main.ts')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const steps: string[] = [];
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { step, detail } = JSON.parse(line) as { step: string; detail: string };
    steps.push(step);
    // The words of an interview are not printed.
    progress(step === 'said' ? 'candidate: somebody spoke' : `candidate: ${step} ${detail}`.trimEnd());
  });
  child.stdin.end(
    JSON.stringify({ websocketUrl: session.websocket_url, joinToken: session.join_token, endAfterMs: seconds * 1_000 }),
  );
  const limit = setTimeout(() => child.kill('SIGKILL'), seconds * 1_000 + 120_000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(limit);
      if (code === 0) resolve(steps);
      else
        reject(
          new CliError(
            'failed',
            'candidate_failed',
            `The synthetic candidate ended with ${code}: ${complaint.trim().split('\n').at(-1) ?? ''}`,
          ),
        );
    });
  });
}

interface Means {
  config: Config;
  rows: Rows;
  /** Receives the calls of the interview. */
  calls: OpenedCall[];
  home: string;
  console: Console;
}

async function interview(
  operator: Platform,
  tenant: Tenant,
  options: Options,
  { config, rows, calls, home, console }: Means,
) {
  await until("the tenant's app at Fly", readyLimitMs, async () => {
    const { apps } = await operator.call<Tenant>('GET', `/api/tenants/${tenant.id}`);
    return apps.some(({ status }) => status === 'ready') ? true : undefined;
  });
  const { key } = await operator.call<{ key: string }>('POST', `/api/tenants/${tenant.id}/api-keys`, {
    name: 'smoke test',
    expires_in_days: 1,
  });
  const platform = createPlatform(config.publicUrl, key);
  const created = await platform.call<Session>('POST', '/api/sessions', {
    candidate: { name: 'Smoke Test' },
    position: {
      title: 'Smoke test',
      description: 'A technical check. Ask two short questions, then end the interview.',
    },
    ...(options.region === undefined ? {} : { region: options.region }),
  });
  const startedMs = performance.now();
  console.progress(`session ${created.session_id}`);
  const show = () => platform.call<Session>('GET', `/api/sessions/${created.session_id}`);
  const ready = await until('the session is ready', readyLimitMs, async () => {
    const session = await show();
    if (endedStatuses.has(session.status))
      throw new CliError(
        'failed',
        'session_ended',
        `The session ended before it was ready: ${session.status}, ${session.reason}.`,
      );
    return session.join_token !== null && session.status !== 'provisioning' && session.status !== 'pending'
      ? session
      : undefined;
  });
  const readyMs = Math.round(performance.now() - startedMs);
  console.progress(`ready after ${readyMs} ms`);
  const watch = watchCalls(rows, config, created.session_id);
  const steps = await takePart(ready, Number(options.seconds), home, console).finally(async () => {
    calls.push(...(await watch.stop()));
  });
  const ended = await until('the session has ended', finishedLimitMs, async () => {
    const session = await show();
    return endedStatuses.has(session.status) ? session : undefined;
  });
  const result = await until('the result is made', finishedLimitMs, async () => {
    const one = await platform.call<{ status: string }>('GET', `/api/sessions/${created.session_id}/result`);
    return one.status === 'pending' || one.status === 'running' ? undefined : one;
  });
  const { entries, complete } = await platform.call<{ entries: Array<{ speaker: string }>; complete: boolean }>(
    'GET',
    `/api/sessions/${created.session_id}/transcript`,
  );
  const speakers = [...new Set(entries.map(({ speaker }) => speaker))].sort();
  const checks: Check[] = [
    { what: 'interview completed', ok: ended.status === 'completed', detail: `${ended.status}, ${ended.reason}` },
    {
      what: 'call answered',
      ok: steps.includes('sdp_answered'),
      detail: steps.includes('sdp_answered') ? 'SDP answered' : 'no SDP answer',
    },
    {
      what: 'both spoke',
      ok: speakers.length === 2 && complete,
      detail: `${entries.length} entries, ${speakers.join(' and ') || 'nobody'}`,
    },
    { what: 'result made', ok: result.status === 'done', detail: result.status },
  ];
  return { sessionId: created.session_id, readyMs, checks };
}

async function remove(operator: Platform, tenantId: string, { progress }: Console): Promise<void> {
  progress('removing the tenant');
  await until('the tenant is removed', removedLimitMs, async () => {
    const { status } = await operator.call<{ status: string }>('DELETE', `/api/tenants/${tenantId}`);
    return status === 'removed' ? true : undefined;
  });
}

/** Counts what is left, by asking each service directly rather than the orchestrator. */
async function proveNothingLeft(config: Config, rows: Rows, tenant: Tenant, opened: OpenedCall[]): Promise<Check[]> {
  const fly = createFlyAdmin(config.fly);
  try {
    const machines = (await fly.ofOrganisation(config.fly.org)).filter(
      ({ metadata }) => metadata.tenant_id === tenant.id,
    );
    const apps = [];
    for (const { name } of tenant.apps) if (await fly.hasApp(name, config.fly.org)) apps.push(name);
    const { count } = rows;
    const ofTenant = `tenant_id=eq.${tenant.id}`;
    const calls = await askAboutCalls(config, opened);
    const owed = await count(`realtime_calls?${ofTenant}&hung_up_at=is.null`);
    const alive = await count(`machines?${ofTenant}&state=neq.destroyed`);
    const entries = await count(`transcript_entries?${ofTenant}`);
    const people = await count(`tenant_candidates?${ofTenant}&erased_at=is.null`);
    return [
      {
        what: 'no machine left at Fly',
        ok: machines.length === 0,
        detail: machines.map(({ id }) => id).join(', ') || 'none',
      },
      { what: 'no app left at Fly', ok: apps.length === 0, detail: apps.join(', ') || 'none' },
      { what: 'no call left at the voice provider', ...calls },
      { what: 'no hang-up owed in the database', ok: owed === 0, detail: `${owed} owed` },
      { what: 'no machine alive in the database', ok: alive === 0, detail: `${alive} alive` },
      { what: 'no transcript left in the database', ok: entries === 0, detail: `${entries} entries` },
      { what: 'no candidate left in the database', ok: people === 0, detail: `${people} rows` },
    ];
  } finally {
    await fly.close();
  }
}

export async function smoke(options: Options, console: Console, home: string): Promise<Finished> {
  // A placeholder: this command starts no machine itself.
  const config = readConfig({ WORKER_IMAGE: `unused@sha256:${'0'.repeat(64)}`, ...console.environment });
  const token = needed(console, 'GREENROOM_TOKEN', "an operator's token (its hash is in OPERATOR_TOKENS).");
  const operator = createPlatform(config.publicUrl, token);
  const slug = `smoke-${randomBytes(4).toString('hex')}`;
  if (options.dryRun)
    return {
      document: { dry_run: true, tenant: slug, orchestrator: config.publicUrl },
      lines: [
        `would make tenant ${slug} at ${config.publicUrl}, hold one interview of at most ${options.seconds} s, and remove it again`,
      ],
    };
  const tenant = await operator.call<Tenant>('POST', '/api/tenants', { slug, name: 'Smoke test' });
  console.progress(`tenant ${slug} (${tenant.id})`);
  const rows = await createRows(config);
  const calls: OpenedCall[] = [];
  let held: Awaited<ReturnType<typeof interview>> | undefined;
  let apps = tenant.apps;
  try {
    held = await interview(operator, tenant, options, { config, rows, calls, home, console });
    apps = (await operator.call<Tenant>('GET', `/api/tenants/${tenant.id}`)).apps;
  } finally {
    await remove(operator, tenant.id, console);
  }
  const checks = [...held.checks, ...(await proveNothingLeft(config, rows, { ...tenant, apps }, calls))];
  const failed = checks.filter(({ ok }) => !ok);
  return {
    document: { tenant: slug, session_id: held.sessionId, ready_ms: held.readyMs, checks },
    lines: [
      ...checks.map(({ what, ok, detail }) => `${ok ? 'ok  ' : 'FAIL'} ${what.padEnd(38)} ${detail}`),
      failed.length === 0 ? `Ready after ${held.readyMs} ms; nothing is left.` : `${failed.length} checks failed.`,
    ],
    exit: failed.length === 0 ? 'done' : 'failed',
  };
}

export const smokeCommand: Register = (program, run, home) => {
  program
    .command('smoke')
    .description('Hold one real interview with a synthetic candidate, then prove that nothing is left of it.')
    .option('--region <code>', 'where the candidate is (default: decided as for everybody)')
    .option('--seconds <n>', 'the candidate ends the interview after this long at the latest', '90')
    .option('--dry-run', 'say what would be done, and do nothing')
    .action(run((options: Options, console) => smoke(options, console, home)));
};
