import { closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { FinishRequest } from '@greenroom/shared/protocol/worker-api.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { ShutdownPhase } from '@greenroom/shared/runtime/shutdown.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { Flags } from '../integrity/flags.ts';
import { type Answer, mayWorkLater } from '../outside/orchestrator.ts';
import type { Calls } from '../realtime/calls.ts';
import type { Room } from '../room/room.ts';
import type { Transcript } from '../transcript/transcript.ts';
import type { Writer } from '../transcript/writer.ts';
import type { Conclusion, ConclusionBox } from './conclusion.ts';
import type { Reports } from './reports.ts';

/**
 * How this worker stops, as named phases. The whole of each list stays within `teardownMs`.
 *
 *   ended        stop intake → hang up → late transcripts → flush → close room → report
 *   handed over  stop intake → flush → report draining → close room (4409); never hangs up
 *   fenced       stop writing → close room (4409); never hangs up, reports nothing
 *
 * D1  Being fenced can show at any moment, also in the middle of an ending: what is left then skips hang-up and writing.
 * D2  A machine that was frozen may wake up after its time, to timers that have run out and a session that another machine
 *     serves by now. So nothing is hung up before the database has taken the ending, or has had time to: if another
 *     machine serves the session, that is where this one learns it.
 * D3  The room is closed after the flush, so that the browser gets its last acknowledgements.
 */
export interface TeardownParts {
  clock: Clock;
  deadlines: Deadlines;
  conclusion: ConclusionBox;
  calls: Calls;
  transcript: Transcript;
  writer: Writer;
  reports: Reports;
  flags: Pick<Flags, 'flush' | 'stop'>;
  room: Room;
  /** Timers, lease: everything that would act by itself. */
  stopTimers(): void;
  finish(request: FinishRequest, signal: AbortSignal): Promise<Answer<unknown>>;
}

/** How long the text of a reply cut off by the hang-up may take, ms. */
const interviewerTextMs = 500;
/** How long a hang-up waits for the database to take the ending, ms (D2). */
const ownerMs = 700;

export function teardownPhases(parts: TeardownParts, conclusion: Conclusion): ShutdownPhase[] {
  switch (conclusion.kind) {
    case 'ended':
      return endPhases(parts, conclusion);
    case 'handed_over':
      return handOverPhases(parts);
    case 'fenced':
      return fencedPhases(parts);
  }
}

function endPhases(parts: TeardownParts, { outcome, reason }: Extract<Conclusion, { kind: 'ended' }>): ShutdownPhase[] {
  const { calls, transcript, writer, reports, room, conclusion, deadlines } = parts;
  const share = (part: number) => Math.round(deadlines.teardownMs * part);
  const unlessFenced = (work: (signal: AbortSignal) => Promise<void> | void) => (signal: AbortSignal) =>
    conclusion.fenced ? undefined : work(signal);
  return [
    {
      name: 'stop intake',
      limitMs: share(0.02),
      run: () => {
        parts.stopTimers();
        calls.stop();
        if (!conclusion.fenced) reports.add({ status: 'finalizing', outcome, reason });
      },
    },
    {
      name: 'hang up',
      limitMs: share(0.2),
      run: unlessFenced(async (signal) => {
        await reportsTaken(parts, signal);
        if (conclusion.fenced) return;
        if (!(await calls.hangUp(signal))) throw new Error('the call may still be up');
      }),
    },
    {
      name: 'late transcripts',
      // A little more than the wait itself, which ends by itself.
      limitMs: Math.min(deadlines.lateTranscriptMs + 500, share(0.2)),
      run: async (signal) => {
        await waitForTexts(parts, signal);
        calls.close();
        transcript.settle();
      },
    },
    { name: 'flush', limitMs: share(0.35), run: (signal) => flush(parts, signal) },
    {
      name: 'close room',
      limitMs: share(0.05),
      run: () =>
        conclusion.fenced
          ? room.close(closeCodes.moved, 'the session has moved', { type: 'moved' })
          : room.close(closeCodes.normal, 'the session has ended', { type: 'session_ended', outcome, reason }),
    },
    {
      name: 'report',
      limitMs: share(0.15),
      run: unlessFenced((signal) =>
        finishUntilHeard(parts, { kind: 'ended', outcome, reason, transcript_complete: isComplete(writer) }, signal),
      ),
    },
  ];
}

function handOverPhases(parts: TeardownParts): ShutdownPhase[] {
  const { calls, room, conclusion, deadlines } = parts;
  const share = (part: number) => Math.round(deadlines.teardownMs * part);
  return [
    {
      name: 'stop intake',
      limitMs: share(0.02),
      run: () => {
        parts.stopTimers();
        calls.stop();
      },
    },
    { name: 'flush', limitMs: share(0.4), run: (signal) => flush(parts, signal) },
    {
      name: 'report',
      limitMs: share(0.2),
      run: (signal) => (conclusion.fenced ? undefined : finishUntilHeard(parts, { kind: 'draining' }, signal)),
    },
    closeMoved(room, share(0.05)),
    { name: 'leave the call', limitMs: 1_000, run: () => calls.close() },
  ];
}

function fencedPhases({ calls, writer, reports, flags, room, stopTimers, deadlines }: TeardownParts): ShutdownPhase[] {
  return [
    {
      name: 'stop writing',
      limitMs: 1_000,
      run: () => {
        stopTimers();
        calls.stop();
        writer.stop();
        reports.stop();
        flags.stop();
      },
    },
    closeMoved(room, Math.round(deadlines.teardownMs * 0.05)),
    { name: 'leave the call', limitMs: 1_000, run: () => calls.close() },
  ];
}

const closeMoved = (room: Room, limitMs: number): ShutdownPhase => ({
  name: 'close room',
  limitMs,
  run: () => room.close(closeCodes.moved, 'the session has moved', { type: 'moved' }),
});

/** D2. Never throws: a database that is away does not keep the call up. */
async function reportsTaken({ clock, reports }: TeardownParts, signal: AbortSignal): Promise<void> {
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(new Error('the database did not take the ending in time')), ownerMs);
  await reports.flush(AbortSignal.any([signal, limit.signal])).catch(() => undefined);
  timer.cancel();
}

/** The transcript first: a flag that cannot be told must not keep an entry from being stored. */
async function flush({ writer, flags }: TeardownParts, signal: AbortSignal): Promise<void> {
  await writer.flush(signal);
  await flags.flush(signal);
}

const isComplete = (writer: Writer): boolean => writer.unsaved === 0 && writer.refused === 0;

/**
 * Ends when nothing more is to be expected: every item has its text, the sideband is gone, or the time is up. A candidate's
 * words are transcribed behind the conversation and may take all of it; the interviewer's stop with the call.
 * Never throws: what is missing is settled.
 */
async function waitForTexts(
  { clock, deadlines, transcript, calls }: TeardownParts,
  signal: AbortSignal,
): Promise<void> {
  const startMs = clock.monotonicMs();
  const expecting = () => {
    const waitedMs = clock.monotonicMs() - startMs;
    if (!calls.attached || waitedMs >= deadlines.lateTranscriptMs) return false;
    return transcript.awaited('candidate') > 0 || (waitedMs < interviewerTextMs && transcript.awaited('ai') > 0);
  };
  while (expecting() && !signal.aborted) await clock.sleep(25, signal).catch(() => undefined);
}

/** The last word is said until somebody has heard it or time is up. */
async function finishUntilHeard(parts: TeardownParts, request: FinishRequest, signal: AbortSignal): Promise<void> {
  const { clock, finish } = parts;
  for (let attempt = 0; ; attempt += 1) {
    const answer = await finish(request, signal);
    if (answer.kind === 'ok') return;
    if (!mayWorkLater(answer)) throw new Error(`finish was refused (status ${answer.status})`);
    await clock.sleep(100 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000 }), signal);
  }
}
