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
 * How this worker stops, as named phases. The phases of each list together stay within `teardownMs`.
 *
 *   ended        stop intake → hang up → late transcripts → flush → close room → report
 *   handed over  stop intake → flush → report draining → close room (4409); never hangs up
 *   fenced       stop writing → close room (4409); never hangs up, reports nothing
 *
 * - The worker may find out at any moment that it is fenced, even during an ending. The remaining phases then skip
 *   hanging up and writing.
 * - A frozen machine may wake up late, with all its timers expired, after another machine has taken the session over.
 *   So the call is hung up only after the database has accepted the ending, or has not answered within `ownerMs`:
 *   a fenced worker learns from that request that it is fenced.
 * - The room is closed after the flush, so that the browser receives its last acknowledgements.
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
  /** Stops timers and lease: everything that acts without being called. */
  stopTimers(): void;
  finish(request: FinishRequest, signal: AbortSignal): Promise<Answer<unknown>>;
}

/** How long to wait for the text of a reply that the hang-up cut off, ms. */
const interviewerTextMs = 500;
/** How long a hang-up waits for the database to accept the ending, ms. */
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
      // Slightly longer than the wait inside, which normally ends first.
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

/**
 * Waits until the database has accepted the ending. Never throws: an unreachable database must not keep the
 * call up.
 */
async function reportsTaken({ clock, reports }: TeardownParts, signal: AbortSignal): Promise<void> {
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(new Error('the database did not take the ending in time')), ownerMs);
  await reports.flush(AbortSignal.any([signal, limit.signal])).catch(() => undefined);
  timer.cancel();
}

/** Transcript first: a flag that cannot be stored must not delay an entry. */
async function flush({ writer, flags }: TeardownParts, signal: AbortSignal): Promise<void> {
  await writer.flush(signal);
  await flags.flush(signal);
}

const isComplete = (writer: Writer): boolean => writer.unsaved === 0 && writer.refused === 0;

/**
 * Waits until every item has its text, the sideband is gone, or the time is up. Candidate speech is
 * transcribed after it was spoken, so it may take the whole wait. The interviewer's text ends with the call,
 * so it gets only `interviewerTextMs`. Never throws.
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

/** Repeats `finish` until the orchestrator accepts it or the signal aborts. */
async function finishUntilHeard(parts: TeardownParts, request: FinishRequest, signal: AbortSignal): Promise<void> {
  const { clock, finish } = parts;
  for (let attempt = 0; ; attempt += 1) {
    const answer = await finish(request, signal);
    if (answer.kind === 'ok') return;
    if (!mayWorkLater(answer)) throw new Error(`finish was refused (status ${answer.status})`);
    await clock.sleep(100 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000 }), signal);
  }
}
