import type { IncomingMessage } from 'node:http';
import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket.ts';
import type { ClaimResponse, Directive } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createShutdown, type Shutdown, shutdownError } from '@greenroom/shared/runtime/shutdown.ts';
import { endingOf, type SessionReason } from '@greenroom/shared/session/reasons.ts';
import type { WebSocket } from 'ws';
import { createConversation } from './conversation.ts';
import { createFlags } from './integrity/flags.ts';
import { type Conclusion, createConclusion } from './lifecycle/conclusion.ts';
import { createSessionDeadlines } from './lifecycle/deadlines.ts';
import { createLease } from './lifecycle/lease.ts';
import { createReports } from './lifecycle/reports.ts';
import { createSleepWatch } from './lifecycle/sleep-watch.ts';
import { teardownPhases } from './lifecycle/teardown.ts';
import type { Http } from './outside/http.ts';
import type { Orchestrator } from './outside/orchestrator.ts';
import { createStore } from './outside/store.ts';
import { createMedia } from './realtime/media.ts';
import type { Asked } from './realtime/requests.ts';
import type { VoiceFactory } from './realtime/voice.ts';
import { createAdmission } from './room/admission.ts';
import type { Connection } from './room/connection.ts';
import { createRoom } from './room/room.ts';
import { createVideo } from './room/video.ts';
import { createRecap } from './transcript/recap.ts';
import { createTranscript } from './transcript/transcript.ts';
import { createWriter } from './transcript/writer.ts';

/**
 * One claimed session, put together: its room, its calls, its transcript, its timers, and its end.
 * Each part knows only what it is given here; every way to an end leads through `conclude`.
 */
export interface Interview {
  start(): void;
  /** What to do with the socket of this upgrade request once it is accepted: let it into the room, or close it with why. */
  admit(request: IncomingMessage): Promise<(socket: WebSocket) => void>;
  /** SIGTERM: asks for the directive; without an `end` it is a hand-over. A second call hurries. */
  terminate(): Promise<void>;
  /** Resolves when the worker's part is over and everything was done for it. */
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
  /** Claims again with this boot's nonce, for a fresh worker token. */
  reclaim(): Promise<'renewed' | 'refused' | 'unreachable'>;
}

/** How long SIGTERM waits for its directive, ms: short of Fly's patience, longer than a slow answer. */
const directiveMs = 4_000;
const hurriedMs = 1_000;

export function createInterview(deps: InterviewDeps): Interview {
  const { clock, claim, orchestrator, workerToken } = deps;
  const { session, deadlines } = claim;
  const log = deps.log.child({
    session_id: session.id,
    tenant_id: session.tenant_id,
    epoch: session.epoch,
    machine_id: claim.machine_id,
  });
  let shutdown: Shutdown | undefined;
  let signals = 0;
  let finished: (conclusion: Conclusion) => void = () => {};
  const done = new Promise<Conclusion>((resolve) => {
    finished = resolve;
  });

  const conclusion = createConclusion((decided) => {
    log.info(
      { kind: decided.kind, ...(decided.kind === 'ended' ? { outcome: decided.outcome, reason: decided.reason } : {}) },
      'session concluded',
    );
    void tearDown(decided);
  });
  const conclude = (reason: SessionReason) => void conclusion.decide({ kind: 'ended', ...endingOf(reason) });
  const onFenced = () => {
    log.warn({}, 'fenced: another machine serves the session');
    awake.stop();
    writer.stop();
    reports.stop();
    flags.stop();
    conclusion.decide({ kind: 'fenced' });
  };
  const obey = (directive: Directive) => {
    if (directive.kind === 'fenced') onFenced();
    if (directive.kind === 'end')
      conclusion.decide({ kind: 'ended', outcome: directive.outcome, reason: directive.reason });
  };

  const store = createStore({
    url: claim.supabase.url,
    publishableKey: claim.supabase.publishable_key,
    accessToken: workerToken.current,
    requestMs: deadlines.databaseRequestMs,
    http: deps.http,
  });
  const reports = createReports({ clock, log, report: store.report, onFenced });
  const flags = createFlags({ clock, log, flag: store.flag, onFenced });
  const writer = createWriter({
    clock,
    log,
    append: store.append,
    onFenced,
    onStored: (entries) => room.send({ type: 'transcript_ack', item_ids: entries.map((entry) => entry.item_id) }),
  });
  const media = createMedia({
    clock,
    noMediaMs: deadlines.noMediaMs,
    resumed: session.epoch > 1 && session.started_at !== null,
    onHeard: (ordinal) => transcript.heard(ordinal),
    onNone: () => conclude('call_not_established'),
  });
  const transcript = createTranscript({
    writer,
    isHeard: media.isHeard,
    send: (message) => room.send(message),
  });
  const recap = createRecap({ clock, log, read: store.transcript, resumed: session.epoch > 1, said: transcript.said });

  const timers = createSessionDeadlines({
    clock,
    deadlines,
    maxDurationMs: session.max_duration_ms,
    onExpired: (reason) => {
      // An offer that came in time and is being worked on is not cut off.
      if (reason === 'call_not_established' && calls.opening) return timers.awaitOffer();
      conclude(reason === 'max_duration' ? timeIsUp() : reason);
    },
    onWarning: (endsAt) => room.send({ type: 'session_warning', code: 'time_limit', ends_at: endsAt }),
  });
  /** An interview in which the candidate said nothing is not a completed one. */
  const timeIsUp = (): SessionReason => {
    if (!media.flowed) return 'call_not_established';
    return transcript.hasCandidate || recap.mayHaveCandidate ? 'max_duration' : 'candidate_silent';
  };
  const video = createVideo({ send: (message) => room.send(message), resumed: session.epoch > 1 });
  const heartbeat = () => ({
    presence: room.presence,
    unsaved_entries: writer.unsaved,
    rss_bytes: process.memoryUsage.rss(),
    ...(video.wantedOrdinal === undefined ? {} : { video_ordinal: video.wantedOrdinal }),
  });
  const lease = createLease({
    clock,
    log,
    heartbeatMs: deadlines.heartbeatMs,
    leaseMs: deadlines.leaseMs,
    leaseLostMs: deadlines.leaseLostMs,
    beat: (timeoutMs) => orchestrator.heartbeat(heartbeat(), timeoutMs),
    reclaim: deps.reclaim,
    onDirective: obey,
    onToken: ({ token }) => workerToken.set(token),
    onVideo: video.offered,
    onLost: () => conclude('worker_lost'),
  });

  const awake = createSleepWatch({
    clock,
    ask: async (sleptMs) => {
      log.warn({ elapsed_ms: Math.round(sleptMs) }, 'this process slept; is the session still ours?');
      const directive = await lease.ask(directiveMs);
      if (directive !== 'unreachable') obey(directive);
    },
  });

  const conversation = createConversation({
    ...{ clock, log, claim, orchestrator, transcript, media, recap, timers, onFenced, conclude },
    voice: deps.voice({ realtime: claim.realtime, deadlines, log, say: awake.say }),
    flag: flags.add,
    send: (message) => room.send(message),
    over: () => conclusion.value !== undefined,
    onBegun: () => reports.add({ status: 'in_progress' }),
  });
  const { calls } = conversation;

  const welcome = async (connection: Connection, fresh: boolean) => {
    connection.send({
      type: 'session_ready',
      v: 1,
      session_id: session.id,
      epoch: session.epoch,
      reconnect_token: claim.reconnect_token,
      transcript_token: claim.transcript_token,
      transcript_url: claim.transcript_url,
      acked: await recap.storedIds(writer.storedIds()),
      ordinal: calls.ordinal,
      // One being opened counts: its answer is on the way.
      call_active: calls.active || calls.opening,
      simulated: session.simulated,
      ends_at: timers.endsAt,
    });
    video.joined(fresh, connection.send);
    conversation.resume(connection);
  };

  const onCopies = (
    message: Pick<Extract<ClientMessage, { type: 'transcript_update' }>, 'entries'>,
    connection: Connection,
  ) => {
    const wrong = transcript.copies(message.entries);
    // Only a browser whose data channel is up has events of a call.
    if (wrong.length === 0) for (const { ordinal } of message.entries) media.answered(ordinal);
    if (wrong.length > 0) connection.error('invalid_message', `Wrong: ${wrong.map((f) => f.field).join(', ')}.`, wrong);
  };

  const onAsked = (asked: Asked, connection: Connection) => {
    if (asked === 'too_often') connection.error('rate_limited', 'Requests and typed answers come too often.');
    if (asked === 'not_now') connection.error('not_initialized', 'The interviewer cannot be asked just now.');
  };
  const onStats = ({ quality, problem, rtt_ms, loss_percent }: Extract<ClientMessage, { type: 'client_stats' }>) =>
    log.info({ quality, problem, rtt_ms, loss_percent }, 'how the candidate is connected');

  const room = createRoom({
    clock,
    log,
    sessionId: session.id,
    pingMs: deadlines.socketPingMs,
    onPresent: () => {
      timers.joined();
      reports.presence('present');
    },
    onLost: () => {
      timers.left();
      reports.presence('lost');
    },
    onInit: welcome,
    onMessage: (message, connection) => {
      if (message.type === 'transcript_update') return onCopies(message, connection);
      if (conclusion.value) return connection.error('call_not_allowed', 'The session is ending.');
      if (message.type === 'call_connected') return conversation.connected(message.ordinal);
      if (message.type === 'voice_blocked') return conversation.blocked(message.ordinal);
      if (message.type === 'sdp_offer') return void conversation.offer(message.sdp, message.ordinal, connection);
      if (message.type === 'candidate_request') return onAsked(conversation.requests.ask(message.what), connection);
      if (message.type === 'typed_answer')
        return onAsked(conversation.requests.type(message.id, message.text), connection);
      if (message.type === 'client_stats') return onStats(message);
      if (message.final_transcript?.length) onCopies({ entries: message.final_transcript }, connection);
      // A browser's word for where a recording lies would be shown to reviewers as ours.
      if (message.recording_url !== undefined) connection.error('recording_url_refused');
      conclude('ended_by_candidate');
    },
  });
  const admit = createAdmission({
    sessionId: session.id,
    tenantId: session.tenant_id,
    epoch: session.epoch,
    issuer: claim.join_issuer,
    keys: claim.join_keys,
    allowedOrigins: session.allowed_origins,
    now: () => clock.now(),
  });

  const tearDown = async (decided: Conclusion) => {
    const stopTimers = () => {
      timers.stop();
      lease.stop();
      awake.stop();
      conversation.stop();
    };
    const parts = {
      clock,
      deadlines,
      conclusion,
      calls,
      transcript,
      writer,
      reports,
      flags,
      room,
      stopTimers,
      finish: orchestrator.finish,
    };
    shutdown = createShutdown(teardownPhases(parts, decided), { hurriedMs });
    if (signals > 1) shutdown.hurry();
    const outcomes = await shutdown.run();
    const error = shutdownError(outcomes);
    for (const { name, tookMs } of outcomes) log.debug({ phase: name, took_ms: Math.round(tookMs) }, 'teardown phase');
    if (error) log.error({ error, count: writer.unsaved }, 'teardown was not clean');
    writer.stop();
    reports.stop();
    flags.stop();
    finished(decided);
  };

  return {
    done,
    start: () => {
      timers.start(session.started_at !== null || claim.open_call !== null);
      if (session.started_at !== null) timers.began(session.started_at);
      // What the browser kept of earlier calls is still accepted.
      for (let ordinal = 1; ordinal < claim.next_ordinal; ordinal += 1) transcript.open(ordinal);
      if (claim.open_call) conversation.takeOver(claim.open_call);
      lease.start();
      awake.start();
      setImmediate(store.warm);
      obey(claim.directive);
    },
    admit: async (request) => {
      const admission = await admit(request);
      if (admission.kind === 'admitted') return room.enter;
      log.info({ close_code: admission.code, reason: admission.why }, 'socket refused');
      return (socket) => socket.close(admission.code, admission.why);
    },
    terminate: async () => {
      signals += 1;
      if (signals > 1) return shutdown?.hurry();
      if (conclusion.value) return;
      const directive = await lease.ask(Math.min(directiveMs, deadlines.stopTimeoutMs));
      log.info({ directive: directive === 'unreachable' ? directive : directive.kind }, 'asked to stop');
      if (directive !== 'unreachable') obey(directive);
      conclusion.decide({ kind: 'handed_over' });
    },
  };
}

export const notReady = { code: closeCodes.notReady, reason: 'the machine has no session yet' } as const;
