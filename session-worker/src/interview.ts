import type { IncomingMessage } from 'node:http';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type {
  ClaimResponse,
  FinishRequest,
  HeartbeatRequest,
  WorkerCounts,
} from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import type { Presence } from '@greenroom/shared/session/states.ts';
import type { WebSocket } from 'ws';
import { createConversation } from './conversation.ts';
import { createEnding } from './ending.ts';
import type { Conclusion } from './lifecycle/conclusion.ts';
import { createPhases } from './lifecycle/phases.ts';
import { createSharedTime } from './lifecycle/shared-time.ts';
import { teardownPhases } from './lifecycle/teardown.ts';
import { residentBytes } from './memory.ts';
import type { Http } from './outside/http.ts';
import type { Orchestrator } from './outside/orchestrator.ts';
import type { Tracing } from './outside/tracing.ts';
import type { VoiceFactory } from './realtime/voice.ts';
import { createReception } from './reception.ts';
import { createRecord, type SessionRecord } from './record.ts';
import { createAdmission } from './room/admission.ts';
import { createRoom } from './room/room.ts';
import { createVideo } from './room/video.ts';
import { tracedVoice } from './traced.ts';
import { createWatches } from './watches.ts';

/**
 * Assembles one claimed session: its stored data (record), its time-driven parts (watches), its conversation,
 * its room (reception) and its ending. Each part knows only what it is given here. Every ending goes through
 * `ending`.
 */
export interface Interview {
  start(): void;
  /**
   * Decides what to do with the socket of this upgrade request once it is accepted: admit it, or close it
   * with a reason.
   */
  admit(request: IncomingMessage): Promise<(socket: WebSocket) => void>;
  /**
   * On SIGTERM: asks for the directive. If it is not `end`, the session is handed over. A second call
   * shortens the teardown.
   */
  terminate(): Promise<void>;
  /** Resolves when the teardown is complete. */
  readonly done: Promise<Conclusion>;
}

export interface InterviewDeps {
  clock: Clock;
  log: Logger;
  http: Http;
  voice: VoiceFactory;
  claim: ClaimResponse;
  orchestrator: Orchestrator;
  workerToken: { current(): string; set(token: string): void };
  /** Claims again with the same boot nonce, to get a new worker token. */
  reclaim(): Promise<'renewed' | 'refused' | 'unreachable'>;
  tracing: Tracing;
}

export function createInterview(deps: InterviewDeps): Interview {
  const { claim, orchestrator, workerToken, http, tracing } = deps;
  const ownNow = deps.clock.now;
  const time = createSharedTime(deps.clock);
  time.heard(claim.now);
  const clock: Clock = { ...deps.clock, now: time.now };
  const { session, deadlines } = claim;
  const { id, tenant_id, epoch } = session;
  const log = deps.log.child({ session_id: id, tenant_id, epoch, machine_id: claim.machine_id });
  const send = (message: ServerMessage) => room.send(message);
  const counts = (): WorkerCounts => ({
    ...room.counts,
    ...reception.counts,
    ...conversation.counts,
    ...record.writer.counts,
    entries_acknowledged: record.writer.stored,
    entries_refused: record.writer.refused,
    transcriptions_failed: conversation.transcriptionsFailed,
  });
  const phases = createPhases(clock);
  let signals = 0;
  let socketSinceMs: number | undefined;
  let tornDownSinceMs: number | undefined;
  const recordSocket = () => {
    if (socketSinceMs !== undefined)
      tracing.record({ name: 'candidate socket', startMs: socketSinceMs, endMs: ownNow() });
    socketSinceMs = undefined;
  };

  const ending = createEnding({
    log,
    phases: (decided) => {
      tornDownSinceMs = ownNow();
      return teardownPhases(teardownParts(), decided);
    },
    unsaved: () => record.writer.unsaved,
    stopAll: () => {
      stopActing();
      record.stop();
    },
  });
  const record = createRecord({
    ...{ clock, log, http, claim, send, onFenced: ending.fenced, tracing },
    accessToken: workerToken.current,
    onNoMedia: () => ending.conclude('call_not_established'),
  });
  const video = createVideo({ send, resumed: epoch > 1 });
  const watches = createWatches({
    ...{ clock, ownClock: deps.clock, log, claim, ending, send },
    orchestrator: {
      heartbeat: async (beat, timeoutMs) => {
        const answer = await phases.carry((news) => orchestrator.heartbeat({ ...beat, ...news }, timeoutMs));
        if (answer.kind === 'ok') time.heard(answer.value.now);
        return answer;
      },
    },
    reclaim: deps.reclaim,
    heartbeat: () => ({
      ...heartbeatOf(room.presence, record.writer.unsaved, video.wantedOrdinal),
      counts: counts(),
    }),
    onToken: workerToken.set,
    onVideo: video.offered,
    isOpening: () => conversation.calls.opening,
    timeIsUp: () => timeIsUp(record),
  });
  const { timers } = watches;
  const conversation = createConversation({
    ...{ clock, log, claim, orchestrator, record, timers, send, ending, note: phases.note, tracing },
    voice: tracedVoice(
      deps.voice({
        ...{ realtime: claim.realtime, deadlines, log, say: watches.say },
        mayFinish: () => room.presence === 'present' || conversation.wasHeardSinceLoss,
      }),
      tracing,
      ownNow,
    ),
  });
  const reception = createReception({ log, claim, conversation, record, timers, video, ending });
  const room = createRoom({
    ...{ clock, log, sessionId: id, pingMs: deadlines.socketPingMs },
    onPresent: () => {
      socketSinceMs = ownNow();
      phases.note('socket');
      timers.joined();
      record.reports.presence('present');
    },
    onLost: () => {
      recordSocket();
      timers.left();
      conversation.lost();
      record.reports.presence('lost');
    },
    onInit: reception.welcome,
    onMessage: reception.hear,
  });
  const admit = createAdmission({
    ...{ sessionId: id, tenantId: tenant_id, epoch },
    issuer: claim.join_issuer,
    keys: claim.join_keys,
    allowedOrigins: session.allowed_origins,
    now: () => clock.now(),
  });
  const stopActing = () => {
    watches.stop();
    conversation.stop();
  };
  const teardownParts = () => ({
    ...{ clock, deadlines, room, conclusion: ending.conclusion, calls: conversation.calls },
    ...record,
    stopTimers: stopActing,
    finish: (request: FinishRequest, signal: AbortSignal) =>
      phases.carry((news) => orchestrator.finish({ ...request, counts: counts(), ...news }, signal)),
  });

  const done = ending.done.then((conclusion) => {
    recordSocket();
    const fields = { kind: conclusion.kind, ...('reason' in conclusion ? { reason: conclusion.reason } : {}) };
    tracing.record({ name: 'teardown', startMs: tornDownSinceMs ?? ownNow(), endMs: ownNow(), fields });
    return conclusion;
  });

  return {
    done,
    start: () => {
      timers.start(session.started_at !== null || claim.open_call !== null);
      if (session.started_at !== null) timers.began(session.started_at);
      // The browser may still send its copies of earlier calls.
      for (let ordinal = 1; ordinal < claim.next_ordinal; ordinal += 1) record.transcript.open(ordinal);
      if (claim.open_call) conversation.takeOver(claim.open_call);
      watches.start();
      ending.obey(claim.directive);
    },
    admit: async (request) => {
      const admission = await admit(request);
      if (admission.kind === 'admitted') {
        phases.edgeWaited(admission.waitedMs);
        tracing.record({ name: 'edge wait', startMs: ownNow() - (admission.waitedMs ?? 0), endMs: ownNow() });
        return (socket) => {
          room.enter(socket);
          if (!ending.isDecided) conversation.expectOffer();
        };
      }
      log.info({ close_code: admission.code, reason: admission.why }, 'socket refused');
      return (socket) => socket.close(admission.code, admission.why);
    },
    terminate: async () => {
      signals += 1;
      if (signals > 1) return ending.hurry();
      if (ending.isDecided) return;
      const directive = await watches.ask(deadlines.stopTimeoutMs);
      log.info({ directive: directive === 'unreachable' ? directive : directive.kind }, 'asked to stop');
      if (directive !== 'unreachable') ending.obey(directive);
      ending.handOver();
    },
  };
}

const heartbeatOf = (presence: Presence, unsaved: number, wantedVideo: number | undefined): HeartbeatRequest => ({
  presence,
  unsaved_entries: unsaved,
  rss_bytes: residentBytes(),
  ...(wantedVideo === undefined ? {} : { video_ordinal: wantedVideo }),
});

/**
 * The reason when the time is up: an interview in which the candidate said nothing does not count as
 * completed.
 */
function timeIsUp({ media, mayHaveCandidate }: SessionRecord): SessionReason {
  if (!media.flowed) return 'call_not_established';
  return mayHaveCandidate ? 'max_duration' : 'candidate_silent';
}

export const notReady = { code: closeCodes.notReady, reason: 'the machine has no session yet' } as const;
