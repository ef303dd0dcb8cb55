import { createHash, randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { realtimeSession } from '../../src/voice/interviewer.ts';
import { type Answer, ask, type Check, type Context, fail, ok, type Result, saysOf, warn } from './check.ts';

/**
 * Opens one call exactly as an interview does, without a candidate: a credential minted with our session, an offer, the sideband,
 * and the hang-up with the credential that made the call. No audio flows, and the call lives for a second.
 */
const secret = z.object({ value: z.string() });
const refusal = z.object({ error: z.object({ code: z.string().nullish(), message: z.string().nullish() }) });
const sidebandLimitMs = 10_000;
/** The provider does not know its own new calls for a moment. */
const sidebandTries = 5;

/** A browser's offer of audio and a data channel. Its addresses lead nowhere, so no media is ever exchanged. */
function offer(): string {
  const fingerprint = createHash('sha256').update(randomBytes(32)).digest('hex').toUpperCase().match(/../g)?.join(':');
  const transport = [
    `a=ice-ufrag:${randomBytes(4).toString('hex')}`,
    `a=ice-pwd:${randomBytes(16).toString('hex')}`,
    `a=fingerprint:sha-256 ${fingerprint}`,
    'a=setup:actpass',
  ];
  return [
    'v=0',
    `o=- ${Date.now()} 2 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'c=IN IP4 0.0.0.0',
    ...transport,
    'a=mid:0',
    'a=sendrecv',
    'a=rtcp-mux',
    'a=rtpmap:111 opus/48000/2',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    ...transport,
    'a=mid:1',
    'a=sctp-port:5000',
    'a=max-message-size:262144',
    '',
  ].join('\r\n');
}

const saidOf = (answer: Answer): string => {
  const error = refusal.safeParse(answer.body).data?.error;
  return error === undefined ? saysOf(answer) : `${saysOf(answer)}: ${error.code ?? ''} ${error.message ?? ''}`.trim();
};

/** Attaches the sideband and sends our `session.update`. @returns what went wrong; undefined if it was taken */
function attach(url: string, credential: string, session: object): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${credential}` },
      handshakeTimeout: sidebandLimitMs,
    });
    const end = (why: string | undefined) => {
      clearTimeout(limit);
      socket.removeAllListeners('close');
      socket.terminate();
      resolve(why);
    };
    const limit = setTimeout(() => end(`no answer within ${sidebandLimitMs / 1_000} s`), sidebandLimitMs);
    socket.on('error', (error) => end(error.message));
    socket.on('close', (code) => end(`closed with ${code}`));
    socket.on('open', () => socket.send(JSON.stringify({ type: 'session.update', session })));
    socket.on('message', (data) => {
      const event = JSON.parse(String(data)) as { type?: string; error?: { code?: string; message?: string } };
      if (event.type === 'session.updated') end(undefined);
      if (event.type === 'error')
        end(`session.update is refused: ${event.error?.code ?? ''} ${event.error?.message ?? ''}`.trim());
    });
  });
}

async function attachPatiently(url: string, credential: string, session: object): Promise<string | undefined> {
  for (let tries = 1; ; tries += 1) {
    const why = await attach(url, credential, session);
    if (why === undefined || tries === sidebandTries || !why.includes('404')) return why;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

const none = '00000000-0000-4000-8000-000000000000';
/** The data of a session about nobody. */
export const anyone = {
  settings: {},
  interview_context: {
    position: { id: none, title: 'A check', description: null },
    candidate: { id: none, name: 'Nobody', email: null, external_id: null },
  },
};
const wait = 'Correct the check voice-key first, or wait: https://status.openai.com';

async function hangUp(base: string, callId: string, authorization: Record<string, string>): Promise<Answer> {
  return ask(`${base}/realtime/calls/${encodeURIComponent(callId)}/hangup`, { method: 'POST', headers: authorization });
}

async function converse(voice: Voice, value: string, session: Record<string, unknown>): Promise<Result> {
  const bearer = { authorization: `Bearer ${value}` };
  const opened = await fetch(`${voice.baseUrl}/realtime/calls`, {
    method: 'POST',
    headers: { ...bearer, 'content-type': 'application/sdp' },
    body: offer(),
    signal: AbortSignal.timeout(sidebandLimitMs),
  });
  const sdp = await opened.text();
  if (opened.status !== 201)
    return fail(
      `The provider takes no offer with our session: it answered ${opened.status}.`,
      'See what it says about the models: greenroom doctor --only voice-realtime-model,voice-transcription-model',
    );
  const callId = /\/([^/]+)$/.exec(opened.headers.get('location') ?? '')?.[1];
  if (callId === undefined || !sdp.startsWith('v=0'))
    return fail('The provider took the offer but named no call or sent no SDP.', wait);
  const { model: _model, audio, ...rest } = session as { audio: { input: object }; model: string };
  const update = { ...rest, audio: { input: audio.input } };
  const wrong = await attachPatiently(
    `${voice.baseUrl.replace(/^http/, 'ws')}/realtime?call_id=${callId}`,
    value,
    update,
  );
  const ended = await hangUp(voice.baseUrl, callId, bearer);
  if (wrong !== undefined) return fail(`The sideband does not work (${wrong}).`, wait);
  if (ended.status >= 200 && ended.status < 300)
    return ok('A call was opened with our session, joined by the sideband, and hung up.');
  const standing = await hangUp(voice.baseUrl, callId, { authorization: `Bearer ${voice.apiKey}` });
  const how = standing.status >= 200 && standing.status < 300 ? 'the standing key ended it' : 'it ends by itself';
  return warn(
    `The call could not be hung up with its own credential (it ${saidOf(ended)}); ${how}.`,
    'Report it: calls of lost machines may run for up to an hour and cost money.',
  );
}

/** What the check needs of the settings. */
type Voice = Pick<
  Context['config']['voice'],
  'provider' | 'baseUrl' | 'apiKey' | 'model' | 'transcriptionModel' | 'voice'
>;

/** Opens one call and hangs it up. */
export async function openOneCall(voice: Voice): Promise<Result> {
  const session = realtimeSession(anyone, voice);
  const standing: Record<string, string> =
    voice.provider === 'azure' ? { 'api-key': voice.apiKey } : { authorization: `Bearer ${voice.apiKey}` };
  const minted = await ask(`${voice.baseUrl}/realtime/client_secrets`, {
    method: 'POST',
    headers: { ...standing, 'content-type': 'application/json' },
    body: JSON.stringify({ expires_after: { anchor: 'created_at', seconds: 60 }, session }),
  });
  const value = secret.safeParse(minted.body).data?.value;
  if (minted.status === 200 && value !== undefined) return converse(voice, value, session);
  const said = saidOf(minted);
  const model = /transcription/.test(said)
    ? 'TRANSCRIPTION_MODEL (for example gpt-live-transcribe)'
    : 'REALTIME_MODEL, TRANSCRIPTION_MODEL or REALTIME_VOICE';
  const fix = minted.status === 400 ? `Set ${model}, whichever the message names.` : wait;
  return fail(`The provider refuses our session: it ${said}.`, fix);
}

export const voiceSession: Check = {
  id: 'voice-session',
  means: 'The interviewer never speaks, or what the candidate says is not written down and cannot be evaluated.',
  live: true,
  run: ({ config }) => openOneCall(config.voice),
};
