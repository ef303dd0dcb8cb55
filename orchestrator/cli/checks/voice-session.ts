import { z } from 'zod';
import { realtimeSession } from '../../src/voice/interviewer.ts';
import { refusesTranscription } from '../../src/voice/provider.ts';
import { type Answer, ask, type Check, fail, type Result, warn } from './check.ts';
import { holdOneCall, saidOf, standingOf, type Voice, wait } from './one-call.ts';

/** Opens one call exactly as an interview does: with a credential minted for our session, or with the standing key for unified calls. */
const secret = z.object({ value: z.string() });

const none = '00000000-0000-4000-8000-000000000000';
/** The data of a session about nobody. */
export const anyone = {
  settings: {},
  interview_context: {
    position: { id: none, title: 'A check', description: null },
    candidate: { id: none, name: 'Nobody', email: null, external_id: null },
  },
};
const mint = (voice: Voice, session: object): Promise<Answer> =>
  ask(`${voice.baseUrl}/realtime/client_secrets`, {
    method: 'POST',
    headers: { ...standingOf(voice), 'content-type': 'application/json' },
    body: JSON.stringify({ expires_after: { anchor: 'created_at', seconds: 60 }, session }),
  });

/** Opens one call and hangs it up. If the provider refuses the transcription model, the fallback is tried, as in an interview. */
export async function openOneCall(voice: Voice): Promise<Result> {
  const session = realtimeSession(anyone, voice);
  if (voice.calls === 'unified') return holdOneCall(voice, voice.apiKey, session);
  const minted = await mint(voice, session);
  const value = secret.safeParse(minted.body).data?.value;
  if (minted.status === 200 && value !== undefined) return holdOneCall(voice, value, session);
  const said = saidOf(minted);
  const { transcriptionModel, fallbackTranscriptionModel } = voice;
  if (minted.status !== 400) return fail(`The provider refuses our session: it ${said}.`, wait);
  if (!refusesTranscription(minted))
    return fail(
      `The provider refuses our session: it ${said}.`,
      'Set REALTIME_MODEL, TRANSCRIPTION_MODEL or REALTIME_VOICE, whichever the message names.',
    );
  if (fallbackTranscriptionModel !== transcriptionModel) {
    const second = await openOneCall({ ...voice, transcriptionModel: fallbackTranscriptionModel });
    if (second.status === 'ok')
      return warn(
        `The provider refuses ${transcriptionModel} in a conversation: it ${said}. Calls go on with ${fallbackTranscriptionModel}.`,
        `Set TRANSCRIPTION_MODEL=${fallbackTranscriptionModel}, then greenroom deploy orchestrator.`,
      );
  }
  return fail(
    `The provider refuses our session: it ${said}.`,
    'Set TRANSCRIPTION_MODEL to a model that it takes in a conversation, then greenroom deploy orchestrator.',
  );
}

export const voiceSession: Check = {
  id: 'voice-session',
  means: 'The interviewer never speaks, or what the candidate says is not written down and cannot be evaluated.',
  live: true,
  run: ({ config }) => openOneCall(config.voice),
};
