import { anyone, openOneCall } from '../../orchestrator/cli/checks/voice-session.ts';
import type { Config } from '../../orchestrator/src/config.ts';
import { realtimeSession } from '../../orchestrator/src/voice/interviewer.ts';
import { voiceClientCases } from './clients/voice.ts';
import { expectStatus, expectThat, type Said, type Say, type Suite } from './suite.ts';

export type OpenAiTarget = Pick<
  Config['voice'],
  | 'provider'
  | 'calls'
  | 'baseUrl'
  | 'apiKey'
  | 'model'
  | 'transcriptionModel'
  | 'fallbackTranscriptionModel'
  | 'voice'
  | 'evaluationModel'
>;

/** The realtime calls and the Responses API with our own session and a schema of ours. */
export function openAiSuite(target: OpenAiTarget, say: Say): Suite {
  const { baseUrl, apiKey } = target;
  const ask = (path: string, body?: object): Promise<Said> =>
    say(`${baseUrl}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  const codeOf = ({ body }: Said): unknown => (body as { error?: { code?: unknown } } | undefined)?.error?.code;
  const mint = (session: object) =>
    ask('/realtime/client_secrets', { expires_after: { anchor: 'created_at', seconds: 60 }, session });

  return {
    cost: 'a few cents: two calls, one of them with one spoken sentence, and one answer of a few tokens',
    names: {
      model: target.model,
      transcriptionModel: target.transcriptionModel,
      evaluationModel: target.evaluationModel,
    },
    cleanUp: async () => [],
    cases: [
      {
        title: 'the configured models are listed',
        run: async () => {
          const { status, body } = await ask('/models');
          expectThat(`status ${status}`, status === 200);
          const ids = (body as { data: Array<{ id: string }> }).data.map(({ id }) => id);
          for (const wanted of [target.model, target.transcriptionModel, target.evaluationModel])
            expectThat(`the model ${wanted} is listed`, ids.includes(wanted));
        },
      },
      {
        title:
          'our session is accepted: secret, offer, sideband, update, and the hang-up by the credential that made the call',
        row: 'One secret and one offer with exactly our session',
        live: true,
        run: async () => {
          const result = await openOneCall(target);
          expectThat(result.detail, result.status === 'ok');
        },
      },
      {
        title: 'a session with an unknown model is refused with 400',
        run: async () =>
          expectStatus(
            'client_secrets',
            await mint({ ...realtimeSession(anyone, target), model: 'no-such-model' }),
            400,
          ),
      },
      {
        title: 'a call that never was answers 404 call_id_not_found',
        row: '`call_id_not_found` may be wrong shortly',
        run: async () => {
          const answer = await ask('/realtime/calls/rtc_00000000000000000000000000000000/hangup', {});
          expectStatus('hangup', answer, 404);
          expectThat('call_id_not_found', codeOf(answer) === 'call_id_not_found');
        },
      },
      {
        title: 'a strict schema is obeyed',
        run: async () => {
          const properties = { fits: { type: 'boolean' } };
          const schema = { type: 'object', properties, required: ['fits'], additionalProperties: false };
          const answer = await ask('/responses', {
            model: target.evaluationModel,
            input: 'Does a square peg fit a square hole of the same size?',
            text: { format: { type: 'json_schema', name: 'answer', schema, strict: true } },
            max_output_tokens: 2_000,
            store: false,
          });
          expectStatus('responses', answer, 200);
          const { output } = answer.body as { output: Array<{ content?: Array<{ text?: string }> }> };
          const text = output.flatMap(({ content }) => content ?? []).find((part) => part.text !== undefined)?.text;
          expectThat('the answer has the schema', typeof JSON.parse(text ?? '{}').fits === 'boolean');
        },
      },
      ...voiceClientCases(target).map((one) => ({ ...one, live: true as const })),
    ],
  };
}
