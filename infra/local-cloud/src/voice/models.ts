/** `GET /v1/models`: the models of this stand-in, with the shutdown dates announced for the real ones. */

import type { Work } from '../faulty-route.ts';
import type { Credentials } from './credentials.ts';

const realtime: Record<string, string | null> = {
  'gpt-realtime-2.1': null,
  'gpt-realtime-2.1-mini': null,
  'gpt-realtime-2': null,
  'gpt-realtime-1.5': null,
  'gpt-realtime': '2027-01-20',
  'gpt-realtime-mini': '2027-01-20',
};
const transcription: Record<string, string | null> = {
  'gpt-realtime-whisper': null,
  'gpt-transcribe': null,
  'gpt-live-transcribe': null,
  'whisper-1': '2027-02-26',
  'gpt-4o-transcribe': '2027-02-26',
  'gpt-4o-mini-transcribe': '2027-02-26',
};
const text: Record<string, string | null> = {
  'gpt-4.1': '2027-01-14',
  'gpt-6-luna': null,
  'gpt-6-astra': null,
};
const shutdownDates = { ...realtime, ...transcription, ...text };

export const realtimeModels = Object.keys(realtime);
export const transcriptionModels = Object.keys(transcription);
export const textModels = Object.keys(text);

// 2026-01-01. The date has no meaning here.
const created = 1_767_225_600;

export const createModels =
  ({ credentials }: { credentials: Credentials }): Work =>
  (request) => {
    if (credentials.identify(request.headers.authorization)?.kind !== 'standing')
      return credentials.refusal(request.headers.authorization);
    const data = Object.entries(shutdownDates).map(([id, shutdown_date]) => ({
      id,
      object: 'model',
      created,
      owned_by: 'system',
      shutdown_date,
    }));
    return { status: 200, body: { object: 'list', data } };
  };
