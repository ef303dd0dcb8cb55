import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BuiltImage, buildImage, unpackImage } from '@greenroom/tools/images/build.ts';
import { whyNotHere } from '@greenroom/tools/images/commands.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startStack } from '../../tools/stack/stack.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { endOf, startInterview, until } from '../support/session.ts';

/**
 * Both images are built from their Dockerfiles without Docker and run from their own file trees.
 * The worker runs in a chroot as the image's user, without /proc, /dev and /tmp: it sees only the files of the image.
 */
const megabyte = 1_000_000;
const storeDir = process.env.IMAGES_DIR ?? path.resolve(import.meta.dirname, '../../.greenroom/images');
const scratch = mkdtempSync(path.join(tmpdir(), 'greenroom-images-'));
const nobodyListens = 'http://127.0.0.1:9';

const bytesOf = (dir: string): number =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);

interface Boot {
  listeningMs: number;
  /** Processor time until it listens, ms: the same whoever else uses the machine. */
  cpuMs: number;
  exitCode: number | null;
}

/** User and system time of a process, ms; the kernel counts in steps of 10 ms. */
function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

/** Boots a bundle in its tree, waits for the log line that it listens, and stops it with SIGTERM. */
async function bootWorker(rootDir: string): Promise<Boot> {
  const startedMs = performance.now();
  const env = { PORT: '0', HOST: '127.0.0.1', ORCHESTRATOR_URL: nobodyListens };
  const command = ['--userspec=65532:65532', rootDir, '/usr/local/bin/node', '/app/worker.cjs'];
  const child: ChildProcess = spawn('/usr/sbin/chroot', command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  let listeningMs = Number.NaN;
  let cpuMs = 0;
  const read = (chunk: Buffer) => {
    log += String(chunk);
    if (!log.includes('"listening"') || !Number.isNaN(listeningMs)) return;
    listeningMs = performance.now() - startedMs;
    cpuMs = cpuMsOf(child.pid as number);
    child.kill('SIGTERM');
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  if (Number.isNaN(listeningMs)) throw new Error(`the worker did not listen (exit ${exitCode}): ${log}`);
  return { listeningMs, cpuMs, exitCode };
}

const whyNot = whyNotHere();
if (whyNot !== undefined) console.warn(`The images are not built here. ${whyNot}`);

describe.skipIf(whyNot !== undefined)('container images', () => {
  let worker: BuiltImage;
  let orchestrator: BuiltImage;
  let workerRoot: string;
  let orchestratorRoot: string;

  beforeAll(() => {
    worker = buildImage('worker', storeDir);
    orchestrator = buildImage('orchestrator', storeDir);
    workerRoot = unpackImage('worker', worker, path.join(scratch, 'worker'));
    orchestratorRoot = unpackImage('orchestrator', orchestrator, path.join(scratch, 'orchestrator'));
  }, 900_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('the worker image is at most 48 MB compressed and 120 MB unpacked', () => {
    expect(worker.compressedBytes).toBeLessThanOrEqual(48 * megabyte);
    expect(bytesOf(workerRoot)).toBeLessThanOrEqual(120 * megabyte);
  });

  test('the orchestrator image is at most 95 MB compressed', () => {
    expect(orchestrator.compressedBytes).toBeLessThanOrEqual(95 * megabyte);
  });

  test('the worker image holds no shell, no package manager and no source', () => {
    for (const file of ['bin/sh', 'usr/bin/apt', 'src', 'app/node_modules']) {
      expect(existsSync(path.join(workerRoot, file)), file).toBe(false);
    }
  });

  test('the worker boots as its own user without /proc and exits on SIGTERM', async () => {
    expect(existsSync(path.join(workerRoot, 'proc'))).toBe(false);
    const { exitCode } = await bootWorker(workerRoot);
    expect(exitCode).toBe(0);
  });

  test('the worker’s compiled code is valid for its Node version, and shortens the boot', async () => {
    const app = path.join(workerRoot, 'app');
    const cache = path.join(app, readdirSync(app).find((name) => name.endsWith('.cache')) ?? 'none');
    const withCache: Boot[] = [];
    const without: Boot[] = [];
    for (let turn = 0; turn < 15; turn += 1) {
      withCache.push(await bootWorker(workerRoot));
      renameSync(cache, `${cache}.away`);
      without.push(await bootWorker(workerRoot));
      renameSync(`${cache}.away`, cache);
    }
    const fastest = (boots: Boot[]) => Math.round(Math.min(...boots.map(({ listeningMs }) => listeningMs)));
    const cpu = (boots: Boot[]) => Math.round(boots.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / boots.length);
    console.info(
      `listening after ${fastest(withCache)} ms and ${cpu(withCache)} ms of processor time with the cache, ${fastest(without)} and ${cpu(without)} ms without`,
    );
    expect(cpu(withCache)).toBeLessThan(cpu(without));
  });

  test('the orchestrator image names every missing variable and exits', async () => {
    const child = spawn('/usr/sbin/chroot', [orchestratorRoot, '/usr/local/bin/node', '/app/orchestrator.mjs'], {
      env: {},
    });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const [code] = await once(child, 'exit');
    expect(code).not.toBe(0);
    for (const name of ['PUBLIC_URL', 'FLY_API_TOKEN', 'OPENAI_API_KEY']) expect(said).toContain(name);
  });

  test('the orchestrator image holds greenroom, which is its release command', async () => {
    const args = [orchestratorRoot, '/usr/local/bin/node', '/app/greenroom.mjs', 'migrate', '--json'];
    const child = spawn('/usr/sbin/chroot', args, { env: {} });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const [code] = await once(child, 'exit');
    expect([code, JSON.parse(said)]).toEqual([78, expect.objectContaining({ code: 'not_configured' })]);
    expect(existsSync(path.join(orchestratorRoot, 'app/migrations'))).toBe(true);
  });

  test('both programs, run from their images, export one trace from the POST to the end of the worker', async () => {
    const receiver = await startOtlpReceiver();
    const stack = await startStack({
      ...{ workerImage: worker.ociDir, orchestrators: 0, flyLimits: false, voice: { turns: 2, paceMs: 100 } },
      environment: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
    });
    try {
      await stack.addOrchestrator({}, path.join(orchestratorRoot, 'app/orchestrator.mjs'));
      const { session, ended } = await startInterview(stack);
      expect(await ended).toMatchObject({ outcome: 'completed' });
      await endOf(stack, session.session_id);
      const of = (name: string) => receiver.spans.find((span) => span.name === name);
      const request = await until('the request is exported', () => of('POST /api/sessions'));
      for (const name of [
        'fly create',
        'boot worker',
        'claim',
        'GET /ws/sessions/:id',
        'provider create call',
        'teardown',
      ])
        expect(await until(`${name} is exported`, () => of(name))).toMatchObject({ traceId: request.traceId });
      expect(of('teardown')?.service).toBe('greenroom-session-worker');
    } finally {
      await stack.stop();
      await receiver.stop();
    }
  }, 300_000);

  test('a second build of the same commit gives an identical worker image', () => {
    expect(buildImage('worker', storeDir).digest).toBe(worker.digest);
  }, 600_000);
});
