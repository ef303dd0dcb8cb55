import { z } from 'zod';
import { ask, type Check, fail, ok, saysOf, unknown } from './check.ts';

const health = z.object({ ok: z.boolean(), version: z.string(), database: z.string(), orchestrator: z.string() });

/** Both Edge Functions, asked for their own condition. `interview-start` is needed only by platforms that call it. */
export const edgeFunctions: Check = {
  id: 'edge-functions',
  means: 'What a browser could not send over its socket is lost when the page is closed.',
  run: async ({ config }) => {
    const start = `${config.supabase.url}/functions/v1/interview-start`;
    const urls = [config.transcriptUploadUrl, start];
    const answers = await Promise.all(urls.map((url) => ask(url)));
    for (const [n, answer] of answers.entries()) {
      const name = urls[n]?.split('/').at(-1) ?? '';
      const seen = health.safeParse(answer.body).data;
      const deploy = `Deploy it: supabase functions deploy ${name}`;
      if (seen === undefined && answer.status === 404 && name === 'interview-start')
        return unknown('interview-start is not deployed.', `Needed only if a platform calls it. ${deploy}`);
      if (seen === undefined) return fail(`${name} ${saysOf(answer)}.`, deploy);
      if (!seen.ok)
        return fail(
          `${name} says: database ${seen.database}, orchestrator ${seen.orchestrator}.`,
          seen.database === 'unavailable'
            ? 'Correct the checks of the database first.'
            : 'Set the secret PUBLIC_URL of the functions: supabase secrets set PUBLIC_URL=…',
        );
    }
    return ok('Both functions answer and have what they need.');
  },
};
