/**
 * For the tests of the voice provider: providers, candidates and sidebands that are cleaned up automatically.
 */
import { afterEach, expect } from 'vitest';
import WebSocket from 'ws';
import { type CandidatePeer, createCandidatePeer } from '../candidate/candidate-peer.ts';
import { startVoiceProvider, type VoiceProvider, type VoiceProviderOptions } from './provider.ts';
import type { WireEvent } from './wire.ts';

export const session = {
  type: 'realtime',
  instructions: 'Interview the candidate.',
  audio: { input: { transcription: { model: 'gpt-transcribe' } } },
  include: ['item.input_audio_transcription.logprobs'],
  tools: [
    {
      type: 'function',
      name: 'end_session',
      parameters: { type: 'object', properties: { reason: { type: 'string' } }, required: ['reason'] },
    },
  ],
};

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function start(options: VoiceProviderOptions = {}): Promise<VoiceProvider> {
  const provider = await startVoiceProvider({ turns: 2, paceMs: 120, silenceMs: 80, ...options });
  cleanups.push(provider.stop);
  return provider;
}

export function candidate(options: Parameters<typeof createCandidatePeer>[0] = {}): CandidatePeer {
  const peer = createCandidatePeer({ answerMs: 120, answerDelayMs: 20, ...options });
  cleanups.push(peer.close);
  return peer;
}

export async function mint(provider: VoiceProvider, seconds = 60, config: unknown = session): Promise<string> {
  const response = await fetch(`${provider.url}/v1/realtime/client_secrets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${provider.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ expires_after: { anchor: 'created_at', seconds }, session: config }),
  });
  return ((await response.json()) as { value: string }).value;
}

export const postOffer = (provider: VoiceProvider, secret: string, offer: string) =>
  fetch(`${provider.url}/v1/realtime/calls`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/sdp' },
    body: offer,
  });

export async function openCall(provider: VoiceProvider, peer: CandidatePeer, secret: string): Promise<string> {
  const response = await postOffer(provider, secret, await peer.offer());
  expect(response.status).toBe(201);
  await peer.accept(await response.text());
  return response.headers.get('location')?.split('/').at(-1) ?? '';
}

export interface Sideband {
  events: WireEvent[];
  send(event: unknown): void;
  /** Resolves with the first event, past or future, of this type. */
  event(type: string, count?: number): Promise<WireEvent>;
  closed: Promise<{ code: number; reason: string }>;
  socket: WebSocket;
}

export async function attach(provider: VoiceProvider, callId: string, credential: string): Promise<Sideband> {
  const url = `${provider.url.replace('http', 'ws')}/v1/realtime?call_id=${callId}`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${credential}` } });
  cleanups.push(() => socket.terminate());
  const events: WireEvent[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data) => {
    events.push(JSON.parse(String(data)) as WireEvent);
    for (const look of waiting) look();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('unexpected-response', async (_request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      reject(
        Object.assign(new Error(String(response.statusCode)), { body: JSON.parse(Buffer.concat(chunks).toString()) }),
      );
    });
  });
  const event = (type: string, count = 1) =>
    new Promise<WireEvent>((resolve) => {
      const look = () => {
        const found = events.filter((one) => one.type === type)[count - 1];
        if (!found) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { events, event, closed, socket, send: (message) => socket.send(JSON.stringify(message)) };
}

/** A call with its media up, its sideband attached and the interview begun. */
export async function interview(provider: VoiceProvider, peer: CandidatePeer, config: unknown = session) {
  const secret = await mint(provider, 60, config);
  const callId = await openCall(provider, peer, secret);
  const sideband = await attach(provider, callId, secret);
  await peer.connected;
  sideband.send({ type: 'response.create' });
  const snapshot = () => provider.calls().find((call) => call.id === callId);
  return { secret, callId, sideband, snapshot };
}

/** What a listener would store: the items in the order they were added, with their final texts. */
export function transcriptOf(events: WireEvent[]) {
  const texts = new Map<unknown, unknown>();
  for (const event of events) {
    if (/output_audio_transcript\.done$|transcription\.completed$/.test(event.type))
      texts.set(event.item_id, event.transcript);
  }
  return events
    .filter((event) => event.type === 'conversation.item.added')
    .map((event) => event.item as { id: string; role?: string })
    .filter((item) => texts.get(item.id))
    .map((item) => ({
      item_id: item.id,
      speaker: item.role === 'user' ? 'candidate' : 'interviewer',
      text: texts.get(item.id),
    }));
}

export const typesOf = (events: WireEvent[]) => events.map((event) => event.type);
