import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { workerRuntime } from '@greenroom/orchestrator/fleet/machine-config.ts';
import { buildWorker } from '../../../session-worker/build.ts';
import { rehearse } from '../../../session-worker/rehearse.ts';
import { type Candidate, connectCandidate } from '../../../session-worker/test/candidate.ts';
import { candidateSpeech, reply, transcribed } from '../../../session-worker/test/conversation.ts';
import { offerSdp, type Peers, startPeers } from '../../../session-worker/test/peers.ts';
import { median } from '../figures.ts';
import { textOf } from './worker-of.ts';

/**
 * Resident memory of bundled workers during an interview of 2,000 turns. Each is a real process between scripted peers. A turn
 * is a candidate's answer and a reply, word by word; each is acknowledged before the next turn.
 *
 * Every reading is the median of several workers, each after a forced collection: garbage that V8 has not collected yet would
 * otherwise decide the figure. One more worker runs without forced collections, as a worker does in production.
 */
const turns = 2_000;
const everyTurns = 50;
const workers = 5;
/** Loaded into the worker: a signal collects the garbage. */
const collector = "process.on('SIGUSR2', () => globalThis.gc())";
/** Longer than a collection takes. */
const collectionMs = 150;
/** One reading during the run. */
const shownTurns = [100, 250, 500, 1_000, 2_000];

export interface Measured {
  /** After every fiftieth turn. */
  turn: number;
  rssMb: number;
  /** Of the worker without forced collections. */
  uncollectedMb: number;
}

const residentMb = (pid: number | undefined): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

async function untilReady(port: number): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the worker did not claim within 10 s');
}

async function join(port: number, peers: Peers): Promise<Candidate> {
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: offerSdp });
  await candidate.receives('sdp_answer');
  candidate.say({ type: 'call_connected', ordinal: 1 });
  // The sideband is attached while the answer travels. Events before that would be lost.
  while (peers.sidebands.length === 0) await sleep(5);
  return candidate;
}

const deltas = (type: string, item_id: string, text: string) =>
  text.split(' ').map((word) => ({ type, item_id, delta: `${word} ` }));

async function turn(n: number, peers: Peers, candidate: Candidate): Promise<void> {
  const [before, said, replied] = [n === 1 ? null : `r${n - 1}`, `c${n}`, `r${n}`];
  const events = [
    ...candidateSpeech(said, before, n * 1_000, n * 1_000 + 500),
    ...deltas('conversation.item.input_audio_transcription.delta', said, textOf(n)),
    transcribed(said, textOf(n)),
    ...deltas('response.output_audio_transcript.delta', replied, textOf(n)),
    ...reply(replied, said, textOf(n)),
  ];
  for (const event of events) peers.emit(event);
  await candidate.receives('transcript_ack', (message) => (message.item_ids as string[]).includes(replied));
  // Keep nothing here: only the worker's memory is measured.
  candidate.heard.length = 0;
}

/** @returns resident memory after every fiftieth turn, MB */
async function measureOne(file: string, collects: boolean): Promise<number[]> {
  const peers = await startPeers();
  let child: ChildProcess | undefined;
  try {
    const port = await freePort();
    child = spawn(process.execPath, ['--expose-gc', '--import', `data:text/javascript,${collector}`, file], {
      env: {
        HOST: '127.0.0.1',
        PORT: String(port),
        ORCHESTRATOR_URL: peers.url,
        FLY_API_SOCKET: peers.flySocket,
        LOG_LEVEL: 'warn',
        ...workerRuntime,
      },
      stdio: 'ignore',
    });
    await untilReady(port);
    const candidate = await join(port, peers);
    const measured: number[] = [];
    for (let n = 1; n <= turns; n += 1) {
      await turn(n, peers, candidate);
      if (n % everyTurns !== 0) continue;
      if (collects) {
        child.kill('SIGUSR2');
        await sleep(collectionMs);
      }
      measured.push(residentMb(child.pid));
    }
    candidate.socket.terminate();
    return measured;
  } finally {
    if (child) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await peers.close();
  }
}

export async function measureMemory(progress: (line: string) => void): Promise<Measured[]> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  try {
    const { file } = await buildWorker(dir);
    await rehearse(file);
    const all: number[][] = [];
    for (let n = 0; n < workers; n += 1) all.push(await measureOne(file, true));
    const uncollected = await measureOne(file, false);
    return uncollected.map((uncollectedMb, n) => {
      const point = {
        turn: (n + 1) * everyTurns,
        rssMb: median(all.map((one) => one[n] ?? Number.NaN)),
        uncollectedMb,
      };
      if (shownTurns.includes(point.turn))
        progress(
          `${point.turn} turns: ${point.rssMb.toFixed(1)} MB (median of ${workers} workers, collected), ${uncollectedMb.toFixed(1)} MB (one worker, not collected)`,
        );
      return point;
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
