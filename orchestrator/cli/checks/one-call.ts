import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Answer, ask, type Context, fail, ok, type Result, saysOf, warn } from './check.ts';
import { attachSideband } from './sideband.ts';

/**
 * One call as a worker makes it, without a candidate: an offer, the sideband, and the hang-up with the credential that made the
 * call. No audio flows, and the call lives for a second.
 *
 * The sideband is tried with the call's own credential and with the standing key. Nobody has shown which of the two every account
 * accepts, and `REALTIME_CALLS=unified` is the way out where it is only the standing key.
 */
export type Voice = Pick<
  Context['config']['voice'],
  'provider' | 'calls' | 'baseUrl' | 'apiKey' | 'model' | 'transcriptionModel' | 'fallbackTranscriptionModel' | 'voice'
>;

const refusal = z.object({ error: z.object({ code: z.string().nullish(), message: z.string().nullish() }) });
const offerLimitMs = 10_000;
/** How often a 404 about a call that was just made is tried again. */
const newCallTries = 5;
export const wait = 'Correct the check voice-key first, or wait: https://status.openai.com';

export const standingOf = ({ provider, apiKey }: Voice): Record<string, string> =>
  provider === 'azure' ? { 'api-key': apiKey } : { authorization: `Bearer ${apiKey}` };

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

/** What the provider answered, with the code and message of its error. */
export const saidOf = (answer: Answer): string => {
  const error = refusal.safeParse(answer.body).data?.error;
  return error === undefined ? saysOf(answer) : `${saysOf(answer)}: ${error.code ?? ''} ${error.message ?? ''}`.trim();
};

const isDone = ({ status }: Answer): boolean => status >= 200 && status < 300;

function hangUp(base: string, callId: string, authorization: Record<string, string>): Promise<Answer> {
  return ask(`${base}/realtime/calls/${encodeURIComponent(callId)}/hangup`, { method: 'POST', headers: authorization });
}

/** Posts an offer in the form that the settings choose. */
function postOffer({ calls, baseUrl }: Voice, credential: string, session: object): Promise<Response> {
  const form = new FormData();
  form.set('sdp', new Blob([offer()], { type: 'application/sdp' }));
  form.set('session', new Blob([JSON.stringify(session)], { type: 'application/json' }));
  const authorization = `Bearer ${credential}`;
  return fetch(`${baseUrl}/realtime/calls`, {
    method: 'POST',
    headers: calls === 'unified' ? { authorization } : { authorization, 'content-type': 'application/sdp' },
    body: calls === 'unified' ? form : offer(),
    signal: AbortSignal.timeout(offerLimitMs),
  });
}

/** Attaches the sideband with the call's own credential, then with the standing key. */
async function trySidebands(voice: Voice, callId: string, credential: string, session: object): Promise<Result> {
  const { model: _model, audio, ...rest } = session as { audio: { input: object }; model: string };
  const update = { ...rest, audio: { input: audio.input } };
  const url = `${voice.baseUrl.replace(/^http/, 'ws')}/realtime?call_id=${callId}`;
  const own = await attachSideband(url, { authorization: `Bearer ${credential}` }, update, newCallTries);
  if (credential === voice.apiKey)
    return own === undefined ? ok('The sideband takes the standing key.') : fail(`No sideband (${own}).`, wait);
  const standing = await attachSideband(url, standingOf(voice), update, 1);
  const also = standing === undefined ? 'and the standing key too' : 'and not the standing key';
  if (own === undefined) return ok(`The sideband takes the call's own credential, ${also}.`);
  if (standing !== undefined) return fail(`The sideband does not work (${own}).`, wait);
  return fail(
    `The sideband takes the standing key only. It refuses the call's own credential (${own}).`,
    'Set REALTIME_CALLS=unified and ACCEPT_STANDING_KEY_IN_WORKERS=true, then greenroom deploy orchestrator. Every worker then has the standing key.',
  );
}

/** Hangs the call up with its own credential, or else with the standing key. */
async function endCall(voice: Voice, callId: string, credential: string): Promise<Result> {
  const ended = await hangUp(voice.baseUrl, callId, { authorization: `Bearer ${credential}` });
  if (isDone(ended)) return ok('It was hung up.');
  const how = isDone(await hangUp(voice.baseUrl, callId, standingOf(voice)))
    ? 'the standing key ended it'
    : 'it ends by itself';
  return warn(
    `The call could not be hung up with its own credential (it ${saidOf(ended)}); ${how}.`,
    'Report it: calls of lost machines may run for up to an hour and cost money.',
  );
}

/** Opens a call, joins it and hangs it up. @param credential minted for the session, or the standing key for unified calls */
export async function holdOneCall(voice: Voice, credential: string, session: object): Promise<Result> {
  const opened = await postOffer(voice, credential, session);
  const sdp = await opened.text();
  if (opened.status !== 201)
    return fail(
      `The provider takes no offer with our session: it answered ${opened.status}.`,
      'See what it says about the models: greenroom doctor --only voice-realtime-model,voice-transcription-model',
    );
  const callId = /\/([^/]+)$/.exec(opened.headers.get('location') ?? '')?.[1];
  if (callId === undefined || !sdp.startsWith('v=0'))
    return fail('The provider took the offer but named no call or sent no SDP.', wait);
  const sideband = await trySidebands(voice, callId, credential, session);
  const ended = await endCall(voice, callId, credential);
  if (sideband.status !== 'ok') return sideband;
  return ended.status === 'ok' ? ok(`A call was opened with our session. ${sideband.detail} ${ended.detail}`) : ended;
}
