import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { closeCodes } from '@greenroom/shared/protocol/socket-values.ts';
import { type Audio, createAudio } from './audio.ts';
import { type Calls, createCalls } from './calls.ts';
import { createEmitter } from './emitter.ts';
import { memoryStore } from './entry-store.ts';
import { invitationOf } from './invitation.ts';
import type { Joined } from './join-api.ts';
import { createJoining, type Joining } from './joining.ts';
import { fullScale } from './levels.ts';
import { createNetworkWatch } from './network-watch.ts';
import { createScreenLock, watchPage } from './page-signals.ts';
import { createProblems, InterviewError, problemCodes } from './problems.ts';
import { createSnapshotStore } from './snapshot.ts';
import { createSocket, type SessionSocket, type SocketState } from './socket.ts';
import { isSameStatus, statusOf } from './status.ts';
import { withCorrection, withEntry } from './transcript-lines.ts';
import { createTranscriptLog } from './transcript-log.ts';
import { turnAfter } from './turn.ts';
import { createTypedAnswers } from './typed-answers.ts';
import type {
  CallPeer,
  Ended,
  IceServer,
  Interview,
  InterviewEvents,
  InterviewOptions,
  Invitation,
  Turn,
} from './types.ts';

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
  let wasLive = false;
  let ending = false;
  let paused = false;
  let muted = false;
  let turn: Turn = 'listening';
  let ended: (Ended & { at: number }) | undefined;
  let joining: Promise<void> | undefined;
  let videoOffer: Interview['videoOffer'] = null;
  let iceServers: readonly IceServer[] = [];

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

  const refresh = () => {
    const before = snapshots.current.status;
    const next = statusOf({
      ...{ phase, ended, waitingFor, ending, closeCode, wasLive, paused, turn, socketState },
      callState: calls.state,
      since: now(),
    });
    if (!isSameStatus(before, next)) {
      snapshots.update({ status: next });
      events.emit('status', next);
    }
    refreshSaving();
  };
  const refreshSaving = () => {
    const pending = log.pending + typed.pending;
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
    if (turn === 'hearing') network.heard();
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
  const log = createTranscriptLog({
    store: options.store ?? (audio ? undefined : memoryStore()),
    upload: options.upload,
    now,
    send: tell,
  });
  const typed = createTypedAnswers({ send: tell, mayAsk: () => calls.state === 'up', onChange: () => refresh() });

  const calls: Calls = createCalls({
    createPeer: options.createPeer ?? (() => (audio as Audio).createPeer(iceServers)),
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
    const collector = log.collector(ordinal);
    peer.onEvent((event) => {
      if (ended) return;
      events.emit('provider', event);
      if (peer === calls.peer) setTurn(turnAfter(turn, event));
      if (log.take(collector, event)) refreshSaving();
    });
  };

  const isStored = (itemIds: readonly string[]) => {
    log.stored(itemIds);
    typed.stored(itemIds);
    snapshots.update({ saving: { ...snapshots.current.saving, savedUpTo: log.savedUpTo } });
    events.emit('saved', itemIds);
    refreshSaving();
  };
  const onReady = (message: Extract<ServerMessage, { type: 'session_ready' }>) => {
    if (message.transcript_url && message.transcript_token)
      log.setUpload({ url: message.transcript_url, token: message.transcript_token });
    iceServers = message.ice_servers ?? [];
    snapshots.update({
      simulated: message.simulated,
      clock: { ...snapshots.current.clock, endsAt: message.ends_at ?? null },
    });
    if (message.acked.length > 0) isStored(message.acked);
    log.resend();
    if (ending) return tell({ type: 'end_session' });
    calls.resume(message);
    typed.resend();
    return undefined;
  };
  const onMessage = (message: ServerMessage): unknown => {
    if (message.type === 'video_token')
      videoOffer = { ...message, started: () => tell({ type: 'recording_started', video_id: message.video_id }) };
    events.emit('message', message);
    switch (message.type) {
      case 'session_ready':
        return onReady(message);
      case 'sdp_answer':
        if (message.ends_at) snapshots.update({ clock: { ...snapshots.current.clock, endsAt: message.ends_at } });
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
        if (message.code === 'call_not_allowed') calls.refused();
        return events.emit('trouble', { code: message.code, message: message.message });
      case 'session_ended':
        return finish({ outcome: message.outcome, reason: message.reason });
      default:
        return undefined;
    }
  };

  const network = createNetworkWatch({
    peer: () => (calls.state === 'up' ? calls.peer : undefined),
    problems,
    send: tell,
    turn: () => turn,
    volume: () => (audio?.levels.input() ?? 0) / fullScale,
    replaceCall: () => calls.replace(),
    onNetwork: (next) => {
      if (next.quality !== snapshots.current.network.quality) events.emit('quality', next);
      snapshots.update({ network: next });
    },
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
    network.stop();
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
    problems.settle(...problemCodes);
    refresh();
    events.emit('ended', how);
    void deliver();
  };
  const deliver = async () => {
    const count = await log.deliver();
    if (count === undefined) return;
    refreshSaving();
    events.emit('delivered', { left: count });
  };
  const leave = () => finish(left);
  options.signal?.addEventListener('abort', leave);

  const enter = async (): Promise<Pick<Joined, 'websocket_url' | 'join_token' | 'ice_servers'>> => {
    if (typeof options.link === 'object')
      return { websocket_url: options.link.websocketUrl, join_token: options.link.joinToken };
    return (entry as Joining).join();
  };
  /** What needs a join link: a platform that brings its own token knows the rest itself. */
  const byLink = (): Joining => {
    if (!entry) throw new InterviewError('link_incomplete');
    return entry;
  };
  let storeOpened: Promise<void> | undefined;
  /** Once: a candidate who has dismissed `storage_blocked` is not told again. */
  const openStore = () => {
    storeOpened ??= log.openStore().then(({ kind }) => {
      snapshots.update({ storage: kind });
      if (audio && kind === 'memory') problems.raise('storage_blocked');
    });
    return storeOpened;
  };
  const look = async (): Promise<Invitation> => {
    // Not awaited: in some browsers opening the storage takes seconds.
    void openStore();
    try {
      const invitation = invitationOf(await byLink().look());
      snapshots.update({ withdrawn: invitation.consent?.isWithdrawn ?? false });
      if (invitation.ending) {
        void log.handInLeftovers();
        finish(invitation.ending);
      }
      return invitation;
    } catch (error) {
      // Nobody will join here: what earlier pages left behind is handed in now.
      void log.handInLeftovers();
      throw error;
    }
  };
  const begin = async () => {
    phase = 'joining';
    refresh();
    await audio?.open();
    const room = await enter();
    await openStore();
    const sessionId = sessionIdOf(room.websocket_url);
    await log.keepFor(sessionId);
    void log.handInLeftovers(sessionId);
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
      onOpened: calls.opened,
      onMessage,
      onFinal: (code) => finish(code === 'unreachable' ? unreachable : (finalEnds[code] ?? unreachable)),
    });
    socket.connect();
    // After the request for the socket, because making the peer takes time. The peer needs the list of relays. If the answer
    // to the join had none (with a join token there is no such answer), the peer is made after `session_ready`.
    if (options.createPeer || room.ice_servers) {
      iceServers = room.ice_servers ?? [];
      calls.prepare();
    }
    network.start();
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
    get videoOffer() {
      return videoOffer;
    },
    subscribe: snapshots.subscribe,
    on: events.on,
    level: { input: () => audio?.levels.input() ?? 0, output: () => audio?.levels.output() ?? 0 },
    look,
    handover: () => byLink().handover(),
    continueHere: (code) => byLink().continueHere(code),
    consent: async (textVersion) => {
      await entry?.consent(textVersion);
      problems.settle('consent_required');
      if (phase === 'running') calls.again();
    },
    decline: async () => finish(await byLink().decline()),
    withdraw: async () => {
      const how = await byLink().withdraw();
      if (!how) return false;
      log.forget();
      snapshots.update({ withdrawn: true, transcript: [] });
      finish(how);
      refreshSaving();
      return true;
    },
    readTranscript: async () => {
      const transcript = await entry?.transcript();
      if (transcript && !snapshots.current.withdrawn) snapshots.update({ transcript });
      return transcript !== undefined;
    },
    correct: async (entry, correction) => {
      const isStored = await byLink().correct(entry, correction);
      const { transcript } = snapshots.current;
      if (isStored) snapshots.update({ transcript: withCorrection(transcript, entry, correction) });
      return isStored;
    },
    get microphoneTrack() {
      return audio?.track;
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
