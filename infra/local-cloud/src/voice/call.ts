/**
 * One realtime call: its media peer, its conversation and its listeners.
 *
 * - A call belongs to the credential that created it: only that one may attach a sideband or hang up.
 * - Each event goes to the data channel and to every sideband as it happens; nothing is replayed to later
 *   listeners. `session.created` goes to the data channel only.
 * - A call ends once, and records who ended it. Closing a sideband does not end it. When the candidate's peer
 *   is lost, the call ends without notice to the sidebands, as seen live; a hang-up closes them with 1000,
 *   the duration limit with 1001.
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { createClientEvents } from './client-events.ts';
import { type Conversation, type ConversationDeps, createConversation } from './conversation.ts';
import type { Credential } from './credentials.ts';
import { createLine, type LineFault } from './line.ts';
import { answerOffer, type Peer } from './peer.ts';
import type { SaidLine } from './said.ts';
import { errorEvent, type RealtimeSession } from './session-config.ts';
import { createVoiceActivity } from './voice-activity.ts';
import { newWireId, parseEvent, type WireEvent } from './wire.ts';

export type EndedBy = 'hangup' | 'peer_lost' | 'session_expired' | 'provider_stopped' | 'provider_lost';

export interface CallSnapshot {
  id: string;
  state: 'live' | 'ended';
  /** Fingerprint of the credential that created the call; never the credential. */
  credential: string;
  safetyIdentifier: string | undefined;
  /** Unix milliseconds. */
  startedAt: number;
  endedAt: number | undefined;
  endedBy: EndedBy | undefined;
  connected: boolean;
  packetsReceived: number;
  packetsSent: number;
  sidebands: number;
  phase: Conversation['phase'];
  /** Index of the question being asked or answered. */
  scriptPosition: number;
  session: RealtimeSession;
  said: SaidLine[];
}

/** A connected sideband. */
export interface Listener {
  send(event: WireEvent): void;
  close(code: number, reason: string): void;
}

export interface CallOptions {
  id: string;
  session: RealtimeSession;
  offer: string;
  credential: Credential;
  safetyIdentifier: string | undefined;
  conversation: Pick<ConversationDeps, 'pace' | 'script' | 'startAt' | 'onProgress' | 'cue' | 'bargeIn' | 'endTool'>;
  /** Begin the interview when the media is up instead of at the first `response.create`. */
  autoStart: boolean;
  /** Keep a `response.create` that arrives before the media is up, and handle it then. */
  holdUntilMedia: boolean;
  /** Silence that ends a turn. Default: the session's setting. */
  silenceMs: number | undefined;
  maxTurnMs: number;
  /** Whether the call goes on although it was hung up or its peer is gone. */
  isKept: () => boolean;
  maxCallMs: number;
  /** What is wrong with the network from the beginning. */
  lineFault: LineFault | undefined;
  clock: Clock;
}

export interface Call {
  readonly id: string;
  readonly credential: Credential;
  readonly live: boolean;
  readonly answerSdp: string;
  readonly conversation: Conversation;
  attach(listener: Listener): { receive(text: string): void; detach(): void };
  /** Makes the network between candidate and provider bad, or whole again. */
  setLine(fault: LineFault | undefined): void;
  end(by: EndedBy): Promise<void>;
  snapshot(): CallSnapshot;
}

export const expiredMessage = (maxCallMs: number) =>
  `Your session hit the maximum duration of ${Math.round(maxCallMs / 60_000)} minutes.`;

const closeCodes: Partial<Record<EndedBy, [number, (maxCallMs: number) => string]>> = {
  hangup: [1000, () => ''],
  session_expired: [1001, expiredMessage],
  provider_stopped: [1001, () => 'going away'],
};

/** Answers the offer and opens the call; undefined if the offer is not valid. */
export async function openCall(options: CallOptions): Promise<Call | undefined> {
  const { clock } = options;
  const line = createLine({ clock, fault: options.lineFault });
  const startedAt = clock.now();
  const listeners = new Set<Listener>();
  let session = options.session;
  let ended: { at: number; by: EndedBy } | undefined;
  let held: { metadata: unknown } | undefined;
  let capTimer: Timer | undefined;
  let peer: Peer | undefined;

  const broadcast = (event: WireEvent) => {
    const whole = { ...event, event_id: newWireId('event') };
    peer?.send(JSON.stringify(whole));
    for (const listener of listeners) listener.send(whole);
  };
  const conversation = createConversation({
    ...options.conversation,
    clock,
    session: () => session,
    emit: broadcast,
    audio: { start: () => peer?.speak(), stop: () => peer?.quiet() },
  });
  const vad = createVoiceActivity({
    clock,
    maxTurnMs: options.maxTurnMs,
    silenceMs: () => options.silenceMs ?? session.audio.input.turn_detection?.silence_duration_ms ?? 200,
    onChange: (active) => session.audio.input.turn_detection && conversation.voice(active),
  });
  const mediaUp = () => peer?.connected === true && peer.channelOpen;
  const respond = (metadata: unknown) => {
    if (options.holdUntilMedia && !mediaUp()) {
      held = { metadata };
      return 'ok' as const;
    }
    return conversation.respond(metadata);
  };
  const onMediaUp = () => {
    if (!mediaUp() || conversation.phase !== 'waiting') return;
    if (held || options.autoStart) conversation.respond(held?.metadata);
    held = undefined;
  };
  const clientEvents = createClientEvents({
    conversation,
    session: {
      get: () => session,
      set: (next) => {
        session = next;
      },
    },
    emit: broadcast,
    respond,
  });
  const toPeer = (event: WireEvent) => peer?.send(JSON.stringify({ event_id: newWireId('event'), ...event }));

  async function end(by: EndedBy): Promise<void> {
    if (ended || ((by === 'hangup' || by === 'peer_lost') && options.isKept())) return;
    ended = { at: clock.now(), by };
    capTimer?.cancel();
    vad.stop();
    conversation.stop();
    if (by === 'session_expired') {
      broadcast(errorEvent({ code: 'session_expired', message: expiredMessage(options.maxCallMs) }));
    }
    const [code, reason] = closeCodes[by] ?? [];
    if (code && reason) for (const listener of listeners) listener.close(code, reason(options.maxCallMs));
    await peer?.close();
  }

  peer = await answerOffer(
    options.offer,
    { clock, line },
    {
      onChannelOpen: () => {
        toPeer({ type: 'session.created', session });
        onMediaUp();
      },
      onMessage: (text) => !ended && clientEvents(parseEvent(text), toPeer),
      onConnected: onMediaUp,
      onLevel: vad.heard,
      onLost: () => void end('peer_lost'),
    },
  );
  if (!peer) return undefined;
  capTimer = clock.setTimer(() => void end('session_expired'), options.maxCallMs);
  const { answerSdp } = peer;
  return {
    id: options.id,
    credential: options.credential,
    answerSdp,
    conversation,
    get live() {
      return ended === undefined;
    },
    attach: (listener) => {
      listeners.add(listener);
      const reply = (event: WireEvent) => listener.send({ event_id: newWireId('event'), ...event });
      return {
        receive: (text) => !ended && clientEvents(parseEvent(text), reply),
        detach: () => listeners.delete(listener),
      };
    },
    setLine: line.set,
    end,
    snapshot: () => ({
      id: options.id,
      state: ended ? 'ended' : 'live',
      credential: options.credential.fingerprint,
      safetyIdentifier: options.safetyIdentifier,
      startedAt,
      endedAt: ended?.at,
      endedBy: ended?.by,
      connected: mediaUp(),
      packetsReceived: peer?.packetsReceived ?? 0,
      packetsSent: peer?.packetsSent ?? 0,
      sidebands: listeners.size,
      phase: conversation.phase,
      scriptPosition: conversation.script.position,
      session,
      said: conversation.said(),
    }),
  };
}
