import { z } from 'zod';
import { type Answer, ask, type Check, type Context, fail, ok, type Result, saysOf, unknown, warn } from './check.ts';

const soonMs = 90 * 86_400_000;
/** `incorrect_hostname`: the key's project is bound to a region; the message ends with the region's host. */
const elsewhere = z.object({
  error: z.object({ code: z.literal('incorrect_hostname'), message: z.string().regex(/ [\w.-]+$/) }),
});
const list = z.object({ data: z.array(z.object({ id: z.string(), shutdown_date: z.string().nullish() })) });

/** `GET /models` with the deployment's key. */
function models({ config: { voice } }: Context): Promise<Answer> {
  const headers: Record<string, string> =
    voice.provider === 'azure' ? { 'api-key': voice.apiKey } : { authorization: `Bearer ${voice.apiKey}` };
  return ask(`${voice.baseUrl}/models`, { headers });
}

/** The result about a model that the provider lists. @param shutdown announced date, `YYYY-MM-DD` */
export function judgeModel(name: string, shutdown: string | null | undefined, now: number, variable: string): Result {
  const fix = `Set ${variable} to another model, then greenroom deploy orchestrator.`;
  if (shutdown == null) return ok(`${name}: no shutdown announced.`);
  const leftMs = Date.parse(shutdown) - now;
  if (Number.isNaN(leftMs)) return warn(`${name}: a shutdown is announced, but its date is not readable.`, fix);
  if (leftMs <= 0) return fail(`${name} was shut down on ${shutdown}.`, fix);
  const detail = `${name} will be shut down on ${shutdown}, in ${Math.ceil(leftMs / 86_400_000)} days.`;
  return leftMs < soonMs ? warn(detail, fix) : ok(detail);
}

export const voiceKey: Check = {
  id: 'voice-key',
  means: 'No call can be opened: the candidate sees the page, but the interviewer never speaks.',
  run: async (context) => {
    const answer = await models(context);
    const host = elsewhere.safeParse(answer.body).data?.error.message.split(' ').at(-1);
    if (host !== undefined)
      return fail("The key's project is in another region.", `Set OPENAI_BASE_URL=https://${host}/v1`);
    if (answer.status === 401 || answer.status === 403)
      return fail('The voice provider refuses the key.', 'Set OPENAI_API_KEY (platform.openai.com, API keys).');
    if (answer.status !== 200 || !list.safeParse(answer.body).success)
      return fail(
        `The voice provider ${saysOf(answer)} to the request for its models.`,
        'Correct OPENAI_BASE_URL, or wait: https://status.openai.com',
      );
    return ok('The voice provider accepts the key.');
  },
};

function modelCheck(
  id: string,
  variable: string,
  means: string,
  nameOf: (voice: Context['config']['voice']) => string,
): Check {
  return {
    id,
    means,
    run: async (context) => {
      const { voice } = context.config;
      const name = nameOf(voice);
      const known = list.safeParse((await models(context)).body).data?.data;
      if (known === undefined) return unknown('The models cannot be read.', 'Correct the check voice-key first.');
      const found = known.find((model) => model.id === name);
      if (found) return judgeModel(name, found.shutdown_date, context.now(), variable);
      if (voice.provider === 'azure')
        return unknown(`${name} is a deployment.`, "Look up the retirement date of its model in Azure's portal.");
      return fail(
        `The voice provider has no model ${name} for this key.`,
        `Set ${variable} to a model of this account.`,
      );
    },
  };
}

export const voiceRealtimeModel = modelCheck(
  'voice-realtime-model',
  'REALTIME_MODEL',
  'No call can be opened: the interviewer never speaks.',
  ({ model }) => model,
);
export const voiceTranscriptionModel = modelCheck(
  'voice-transcription-model',
  'TRANSCRIPTION_MODEL',
  'The interview runs, but what the candidate says is not written down, so it cannot be evaluated.',
  ({ transcriptionModel }) => transcriptionModel,
);
export const voiceEvaluationModel = modelCheck(
  'voice-evaluation-model',
  'EVALUATION_MODEL',
  'Interviews run, but get no summary and no evaluation.',
  ({ evaluationModel }) => evaluationModel,
);
