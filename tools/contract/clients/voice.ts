import { OpenAIRealtimeSIP, OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';
import { MediaStreamTrack, RTCPeerConnection } from 'werift';
import { type Case, expectStatus, expectThat, say, until } from '../suite.ts';

export interface VoiceClientTarget {
  baseUrl: string;
  apiKey: string;
  model: string;
}

const limitMs = 60_000;

/**
 * OpenAI's own realtime SDK, unmodified, in both directions of a call: it posts an offer as a browser does, and it attaches a
 * sideband by the call's id. Node has no WebRTC of its own, so the SDK gets the peer connection of werift.
 */
export function voiceClientCases({ baseUrl, apiKey, model }: VoiceClientTarget): Case[] {
  const authorization = `Bearer ${apiKey}`;
  const secret = async (): Promise<string> => {
    const answer = await say(`${baseUrl}/realtime/client_secrets`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ session: { type: 'realtime', model } }),
    });
    expectStatus('client_secrets', answer, 200);
    return (answer.body as { value: string }).value;
  };
  const sidebandUrl = (callId: string) => `${baseUrl.replace(/^http/, 'ws')}/realtime?call_id=${callId}`;

  return [
    {
      title: '@openai/agents-realtime opens a call with its default session, talks, and attaches a sideband by call id',
      run: async () => {
        const credential = await secret();
        const call = await openCall(credential);
        const sideband = new OpenAIRealtimeSIP();
        try {
          const { errors } = call;
          const events: string[] = [];
          sideband.on('*', ({ type }) => events.push(type));
          sideband.on('error', ({ error }) => errors.push(messageOf(error)));
          const { callId } = call;
          await sideband.connect({ apiKey: credential, callId, url: sidebandUrl(callId), model });
          await until('the sideband’s session.update is answered', limitMs, async () =>
            events.includes('session.updated') || errors.length > 0 ? true : undefined,
          );
          call.session.sendMessage('Answer with one short sentence.');
          const said = await until('the interviewer has answered', limitMs, async () =>
            errors.length > 0 ? errors.join('; ') : spokenIn(call.session),
          );
          expectThat(errors.join('; '), errors.length === 0 && said !== '');
          await until('the sideband sees the answer too', limitMs, async () =>
            events.includes('response.done') ? true : undefined,
          );
        } finally {
          sideband.close();
          call.close();
          await say(`${baseUrl}/realtime/calls/${call.callId}/hangup`, {
            method: 'POST',
            headers: { authorization: `Bearer ${credential}` },
          });
        }
      },
    },
    {
      title: '@openai/agents-realtime is refused an offer with a wrong secret, and a sideband of no call',
      run: async () => {
        const offer = await openCall('ek_wrong').then(
          () => 'no error',
          (error: Error) => error.message,
        );
        expectThat(`an offer with a wrong secret: ${offer}`, offer.includes('401'));
        const callId = 'rtc_00000000000000000000000000000000';
        const sideband = new OpenAIRealtimeSIP();
        sideband.on('error', () => undefined);
        const refused = await sideband.connect({ apiKey, callId, url: sidebandUrl(callId), model }).then(
          () => 'no error',
          (error: unknown) => messageOf(error),
        );
        expectThat(`a sideband of no call: ${refused}`, refused.includes('404'));
      },
    },
  ];

  async function openCall(credential: string) {
    Object.assign(globalThis, { RTCPeerConnection });
    const track = new MediaStreamTrack({ kind: 'audio' });
    const transport = new OpenAIRealtimeWebRTC({
      baseUrl: `${baseUrl}/realtime/calls`,
      // Only these two are read of a browser's objects.
      mediaStream: { getAudioTracks: () => [track] } as unknown as MediaStream,
      audioElement: {} as HTMLAudioElement,
    });
    const agent = new RealtimeAgent({ name: 'contract', instructions: 'You are the other end of a short test.' });
    const session = new RealtimeSession(agent, { transport, model });
    const errors: string[] = [];
    session.on('error', ({ error }) => errors.push(messageOf(error)));
    await session.connect({ apiKey: credential });
    const { callId } = transport;
    expectThat('the answer to an offer names its call', callId !== undefined);
    return { session, errors, callId: callId as string, close: () => session.close() };
  }
}

function messageOf(error: unknown): string {
  const { message, error: inner } = error as { message?: unknown; error?: unknown };
  return typeof message === 'string' ? message : inner ? messageOf(inner) : String(error);
}

/** What the interviewer has said, when an answer is complete. */
function spokenIn({ history }: RealtimeSession): string | undefined {
  for (const item of history) {
    if (item.type !== 'message' || item.role !== 'assistant' || item.status !== 'completed') continue;
    const part = item.content.find(({ type }) => type === 'output_audio');
    const text = part && 'transcript' in part ? part.transcript : undefined;
    if (text) return text;
  }
  return undefined;
}
