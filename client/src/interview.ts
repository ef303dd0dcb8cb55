import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket-values.ts';
import { type Audio, createAudio } from './audio.ts';
import { type Calls, createCalls } from './calls.ts';
import { chunksOf } from './chunks.ts';
import { createEmitter } from './emitter.ts';
import { createEntryCollector } from './entries.ts';
import { memoryStore, openEntryStore } from './entry-store.ts';
import type { Joined, Looked } from './join-api.ts';
import { createJoining, type Joining } from './joining.ts';
import { type KeptEntries, openKept } from './kept-entries.ts';
import { judge, type Measured, measure } from './network.ts';
import { createScreenLock, watchPage } from './page-signals.ts';
import { createProblems, InterviewError } from './problems.ts';
import { createSnapshotStore } from './snapshot.ts';
import { createSocket, type SessionSocket, type SocketState } from './socket.ts';
import { withEntry } from './transcript-lines.ts';
import { turnAfter } from './turn.ts';
import { createTypedAnswers } from './typed-answers.ts';
import type {
  CallPeer,
  Ended,
  EntryStore,
  Interview,
  InterviewEvents,
  InterviewOptions,
  Invitation,
  Network,
  Status,
  Turn,
} from './types.ts';
import { uploadKept, uploadLeftovers } from './upload.ts';

const measureMs = 2_000;
/** `client_stats` is sent with every so many measurements. */
const measuresPerReport = 5;

const finalEnds: Record<number, Ended> = {
  [closeCodes.normal]: { outcome: 'completed', reason: 'closed' },
  [closeCodes.token]: { outcome: 'failed', reason: 'token_refused' },
  [closeCodes.unknown]: { outcome: 'failed', reason: 'unknown_session' },
  [closeCodes.ended]: { outcome: 'completed', reason: 'already_ended' },
  [closeCodes.replaced]: { outcome: 'disconnected', reason: 'opened_elsewhere' },
};
const unreachable: Ended = { outcome: 'disconnected', reason: 'unreachable' };
const left: Ended = { outcome: 'disconnected', reason: 'left' };

const sessionIdOf = (websocketUrl: string): string => new URL(websocketUrl).pathname.split('/').at(-1) ?? '';

/**
 * One interview, from the link to its end, whatever the network and the devices do. See README.md for how it is used.
 *
 * - Every item of both speakers is kept until it is acknowledged by id, and sent again after each reconnection. What is left
 *   when there is no socket any more is uploaded (upload.ts).
 * - The loss of the socket alone never leaves `live`: audio does not pass through us. `reconnecting` means that the
 *   candidate is not heard.
 * - An end that was asked for is asked for again after a reconnection. Whatever ends the interview releases everything:
 *   microphone, audio context, peer, socket, timers, wake lock. `ended` comes once.
 */
export function createInterview(options: InterviewOptions): Interview {
  const now = options.now ?? Date.now;
  const Socket = options.WebSocket ?? WebSocket;
  const send = options.fetch ?? ((...request) => fetch(...request));
  const snapshots = createSnapshotStore();
  const events = createEmitter<InterviewEvents>();
  const screen = createScreenLock();

  let phase: 'idle' | 'joining' | 'running' | 'ended' = 'idle';
  let waitingFor: 'start_time' | 'service' | null = null;
  let socket: SessionSocket | undefined;
  let socketState: SocketState = 'opening';
  let closeCode: number | undefined;
  let kept: KeptEntries | undefined;
  let wasLive = false;
  let ending = false;
  let paused = false;
  let muted = false;
  let turn: Turn = 'listening';
  let ended: (Ended & { at: number }) | undefined;
  let joining: Promise<void> | undefined;
  let measuring: ReturnType<typeof setInterval> | undefined;
  let measured: Measured | undefined;
  let measures = 0;
  /** When each entry that is not acknowledged was said. */
  const saidAt = new Map<string, number>();

  const problems = createProblems({
    onChange: (problem) => snapshots.update({ problem }),
    onRaised: (code) => {
      events.emit('problem', code);
      if (code === 'audio_blocked') calls.audible();
    },
    onSettled: (code) => {
      events.emit('problem_over', code);
      if (code === 'audio_blocked') calls.audible();
    },
  });
  const tell = (message: ClientMessage): boolean => socket?.send(message) ?? false;

  // ---- the state as others see it

  const phaseStatus = (): Status => {
    const since = now();
    if (ended) return { name: 'ended', ...ended };
    if (phase === 'idle') return { name: 'idle' };
    if (phase === 'joining')
      return waitingFor ? { name: 'waiting', for: waitingFor, since } : { name: 'joining', since };
    if (ending) return { name: 'ending', since };
    if (calls.state === 'up') return { name: 'live', turn: paused ? 'paused' : turn, since };
    const isReachable = socketState === 'ready';
    if (wasLive) return { name: 'reconnecting', lost: isReachable ? 'audio' : 'both', since };
    if (!isReachable && closeCode === closeCodes.notReady) return { name: 'waiting', for: 'machine', since };
    if (!isReachable) return { name: 'connecting', step: 'socket', since };
    const isOffering = calls.state === 'none' || calls.state === 'offering';
    return { name: 'connecting', step: isOffering ? 'offer' : 'audio', since };
  };
  const refresh = () => {
    const before = snapshots.current.status;
    const next = phaseStatus();
    const isSame = JSON.stringify({ ...before, since: 0 }) === JSON.stringify({ ...next, since: 0 });
    if (!isSame) {
      snapshots.update({ status: next });
      events.emit('status', next);
    }
    refreshSaving();
  };
  const refreshSaving = () => {
    const pending = (kept?.all.length ?? 0) + typed.pending;
    const { savedUpTo } = snapshots.current.saving;
    const isBehind = phase === 'running' && wasLive && socketState !== 'ready';
    if (isBehind && !ending) problems.raise('socket_lost');
    else problems.settle('socket_lost');
    const state = isBehind ? 'behind' : pending > 0 ? 'saving' : 'saved';
    snapshots.update({ saving: { state, savedUpTo, pending } });
  };
  const setTurn = (next: Turn) => {
    if (next === turn) return;
    turn = next;
    events.emit('turn', turn);
    refresh();
  };

  // ---- the parts

  const audio: Audio | undefined = options.createPeer
    ? undefined
    : createAudio({
        problems,
        ...(options.audio ? { element: options.audio } : {}),
        onDevices: (devices) => snapshots.update({ devices: { ...devices, muted } }),
      });
  const typed = createTypedAnswers({ send: tell, mayAsk: () => calls.state === 'up', onChange: () => refresh() });

  const calls: Calls = createCalls({
    createPeer: options.createPeer ?? (() => (audio as Audio).createPeer()),
    problems,
    send: tell,
    isReachable: () => socketState === 'ready',
    mayCall: () => phase === 'running' && !ending,
    onState: (state) => {
      if (state === 'up') onLive();
      if (state === 'offering') turn = 'listening';
      refresh();
    },
    onPeer: (peer, ordinal) => hearPeer(peer, ordinal),
    onError: (error) => events.emit('trouble', { code: 'microphone', message: error.message }),
  });
  const onLive = () => {
    wasLive = true;
    if (snapshots.current.clock.startedAt === null)
      snapshots.update({ clock: { ...snapshots.current.clock, startedAt: now() } });
    screen.hold();
    typed.resend();
  };
  const hearPeer = (peer: CallPeer, ordinal: number) => {
    const collector = createEntryCollector(ordinal);
    measured = undefined;
    peer.onEvent((event) => {
      if (ended) return;
      events.emit('provider', event);
      if (peer === calls.peer) setTurn(turnAfter(turn, event));
      const entry = collector.take(event);
      if (!entry) return;
      kept?.add(entry);
      saidAt.set(entry.item_id, now());
      tell({ type: 'transcript_update', entries: [entry] });
      refreshSaving();
    });
  };

  const isStored = (itemIds: readonly string[]) => {
    kept?.remove(itemIds);
    typed.stored(itemIds);
    for (const id of itemIds) saidAt.delete(id);
    const savedUpTo = Math.min(now(), ...saidAt.values());
    snapshots.update({ saving: { ...snapshots.current.saving, savedUpTo } });
    events.emit('saved', itemIds);
    refreshSaving();
  };
  const onReady = (message: Extract<ServerMessage, { type: 'session_ready' }>) => {
    if (message.transcript_url && message.transcript_token)
      kept?.setUpload({ url: message.transcript_url, token: message.transcript_token });
    snapshots.update({
      simulated: message.simulated,
      clock: { ...snapshots.current.clock, endsAt: message.ends_at ?? null },
    });
    if (message.acked.length > 0) isStored(message.acked);
    for (const entries of chunksOf(kept?.all ?? [])) tell({ type: 'transcript_update', entries });
    if (ending) return tell({ type: 'end_session' });
    calls.resume(message);
    typed.resend();
    return undefined;
  };
  const onMessage = (message: ServerMessage): unknown => {
    events.emit('message', message);
    switch (message.type) {
      case 'session_ready':
        return onReady(message);
      case 'sdp_answer':
        return calls.answered(message);
      case 'call_required':
        return calls.required(message.ordinal);
      case 'transcript_ack':
        return isStored(message.item_ids);
      case 'transcript_entry':
        snapshots.update({ transcript: withEntry(snapshots.current.transcript, message.entry, message.final) });
        return events.emit('entry', { entry: message.entry, final: message.final });
      case 'session_warning':
        snapshots.update({ clock: { ...snapshots.current.clock, endsAt: message.ends_at } });
        return events.emit('warning', { endsAt: message.ends_at });
      case 'error':
        if (message.code === 'consent_required') problems.raise('consent_required');
        return events.emit('trouble', { code: message.code, message: message.message });
      case 'session_ended':
        return finish({ outcome: message.outcome, reason: message.reason });
      default:
        return undefined;
    }
  };

  // ---- the network's quality

  const measureOnce = async () => {
    const peer = calls.peer;
    if (calls.state !== 'up' || !peer?.stats) return;
    const report = await peer.stats().catch(() => undefined);
    if (!report || peer !== calls.peer) return;
    const current = measure(report);
    const network = judge(measured, current);
    measured = current;
    if (network.quality !== snapshots.current.network.quality) events.emit('quality', network);
    snapshots.update({ network });
    measures += 1;
    if (measures % measuresPerReport === 1) report10s(network, current);
  };
  const report10s = (network: Network, { jitterMs }: Measured) =>
    tell({
      type: 'client_stats',
      quality: network.quality,
      rtt_ms: network.rttMs,
      loss_percent: network.lossPercent,
      jitter_ms: jitterMs,
      relayed: network.relayed,
      problem: problems.current,
    });

  // ---- beginning and end

  const stopWatching = watchPage({
    onOffline: () => socket?.drop(),
    onReturn: () => {
      socket?.hurry();
      entry?.hurry();
      if (snapshots.current.status.name === 'live') screen.hold();
    },
  });
  const entry: Joining | undefined =
    typeof options.link === 'string'
      ? createJoining({
          link: options.link,
          problems,
          fetch: send,
          onWaiting: (what) => {
            waitingFor = what;
            refresh();
          },
        })
      : undefined;

  const release = () => {
    clearInterval(measuring);
    stopWatching();
    entry?.stop();
    typed.stop();
    calls.close();
    socket?.close();
    audio?.close();
    screen.release();
    options.signal?.removeEventListener('abort', leave);
  };
  const finish = (how: Ended) => {
    if (ended) return;
    phase = 'ended';
    ended = { ...how, at: now() };
    release();
    problems.settle(
      'call_failed',
      'call_blocked',
      'socket_lost',
      'microphone_lost',
      'microphone_muted',
      'storage_blocked',
    );
    refresh();
    events.emit('ended', how);
    if (kept) void deliver(kept);
  };
  const deliver = async (entries: KeptEntries) => {
    const count = await uploadKept(entries, options.upload);
    for (const id of saidAt.keys()) if (!entries.all.some((one) => one.item_id === id)) saidAt.delete(id);
    refreshSaving();
    events.emit('delivered', { left: count });
  };
  const leave = () => finish(left);
  options.signal?.addEventListener('abort', leave);

  const enter = async (): Promise<Pick<Joined, 'websocket_url' | 'join_token'>> => {
    if (typeof options.link === 'object')
      return { websocket_url: options.link.websocketUrl, join_token: options.link.joinToken };
    return (entry as Joining).join();
  };
  /** What needs a join link: a platform that brings its own token knows the rest itself. */
  const byLink = (): Joining => {
    if (!entry) throw new InterviewError('link_incomplete');
    return entry;
  };
  let opened: Promise<EntryStore> | undefined;
  const openStore = (): Promise<EntryStore> => {
    opened ??= (async () => {
      const store = options.store ?? (audio ? await openEntryStore() : memoryStore());
      snapshots.update({ storage: store.kind });
      if (audio && store.kind === 'memory') problems.raise('storage_blocked');
      return store;
    })();
    return opened;
  };
  const keepFor = async (sessionId: string) => {
    const store = await openStore();
    void uploadLeftovers(store, { ...options.upload, except: sessionId, nowMs: now() });
    kept = await openKept(sessionId, store);
  };
  const look = async (): Promise<Invitation> => {
    const store = await openStore();
    try {
      return invitationOf(await byLink().look());
    } catch (error) {
      // Nobody will join here: what earlier pages left behind is handed in now.
      void uploadLeftovers(store, { ...options.upload, nowMs: now() });
      throw error;
    }
  };
  const begin = async () => {
    phase = 'joining';
    refresh();
    await audio?.open();
    const room = await enter();
    await keepFor(sessionIdOf(room.websocket_url));
    if (ended) throw new InterviewError('session_over');
    phase = 'running';
    socket = createSocket({
      url: room.websocket_url,
      joinToken: room.join_token,
      Socket,
      now,
      random: options.random ?? Math.random,
      giveUpMs: options.giveUpMs ?? 300_000,
      onState: (state, code) => {
        socketState = state;
        closeCode = code;
        refresh();
      },
      onMessage,
      onFinal: (code) => finish(code === 'unreachable' ? unreachable : (finalEnds[code] ?? unreachable)),
    });
    socket.connect();
    measuring = setInterval(() => void measureOnce(), measureMs);
    refresh();
  };
  const untilLive = () =>
    new Promise<void>((resolve, reject) => {
      const stop = snapshots.subscribe(() => {
        const { name } = snapshots.current.status;
        if (name !== 'live' && name !== 'ended') return;
        stop();
        if (name === 'live') resolve();
        else reject(new InterviewError('session_over'));
      });
    });
  const join = async () => {
    if (ended) throw new InterviewError('session_over');
    const live = untilLive();
    // Whoever does not wait for it is not troubled by it.
    live.catch(() => undefined);
    try {
      await begin();
    } catch (error) {
      if (!ended) phase = 'idle';
      refresh();
      throw error;
    }
    return live;
  };
  const applyMuted = () => {
    audio?.setMuted(muted || paused);
    snapshots.update({ devices: { ...snapshots.current.devices, muted } });
  };

  return {
    get snapshot() {
      return snapshots.current;
    },
    subscribe: snapshots.subscribe,
    on: events.on,
    level: { input: () => audio?.levels.input() ?? 0, output: () => audio?.levels.output() ?? 0 },
    look,
    handover: () => byLink().handover(),
    continueHere: (code) => byLink().continueHere(code),
    consent: async (textVersion) => {
      await entry?.giveConsent(textVersion);
      problems.settle('consent_required');
      if (phase === 'running') calls.again();
    },
    checkMicrophone: async () => audio?.open(),
    join: () => {
      if (phase === 'running') return Promise.resolve();
      joining ??= join().finally(() => {
        joining = undefined;
      });
      return joining;
    },
    retry: () => {
      entry?.hurry();
      socket?.hurry();
      audio?.retry();
      problems.settle('storage_blocked');
      if (calls.state === 'blocked' || calls.state === 'waiting') calls.again();
    },
    setMuted: (next) => {
      muted = next;
      applyMuted();
    },
    setDevice: async (kind, deviceId) => audio?.choose(kind, deviceId),
    request: (what) => {
      if (!tell({ type: 'candidate_request', what })) return false;
      if (what === 'moment' || what === 'go_on') {
        paused = what === 'moment';
        applyMuted();
        refresh();
      }
      return true;
    },
    say: (text) => typed.say(text),
    end: () => {
      const over = new Promise<Ended>((resolve) => {
        if (ended) resolve({ outcome: ended.outcome, reason: ended.reason });
        else events.on('ended', resolve);
      });
      if (phase === 'running' && !ending) {
        ending = true;
        tell({ type: 'end_session' });
        refresh();
      } else if (phase !== 'running') leave();
      return over;
    },
    leave,
  };
}

const invitationOf = (looked: Looked): Invitation => ({
  status: looked.status,
  startsAt: looked.starts_at === null ? null : Date.parse(looked.starts_at),
  joinable: looked.joinable,
  organiser: looked.organiser,
  position: looked.position.title,
  candidate: looked.candidate.name,
  minutes: looked.minutes,
  recordsVideo: looked.records_video,
  simulated: looked.simulated,
  consent:
    looked.consent.required && looked.consent.text_version !== null
      ? {
          textVersion: looked.consent.text_version,
          text: looked.consent.text,
          isGiven: looked.consent.given_at !== null,
        }
      : null,
  bound: looked.bound,
});

/** Creates an interview and joins it. Resolves when it is live. */
export async function joinInterview(options: InterviewOptions): Promise<Interview> {
  const interview = createInterview(options);
  try {
    await interview.join();
  } catch (error) {
    interview.leave();
    throw error;
  }
  return interview;
}
