import { ask, type Check, fail, ok, saysOf } from './check.ts';

/** Half a year. */
const minHstsS = 15_552_000;

/** What is wrong with the headers of an answer, one entry per header. */
export function headerProblems(headers: Headers, isHttps: boolean): string[] {
  const hstsS = Number(/max-age=(\d{1,12})/.exec(headers.get('strict-transport-security') ?? '')?.[1] ?? 0);
  const policy = headers.get('content-security-policy') ?? '';
  const hasPolicy = policy.includes('default-src') && policy.includes('frame-ancestors');
  return [
    ...(isHttps && hstsS < minHstsS ? [`strict-transport-security must have max-age=${minHstsS} or more`] : []),
    ...(headers.get('x-content-type-options') === 'nosniff' ? [] : ['x-content-type-options must be nosniff']),
    ...(hasPolicy ? [] : ['content-security-policy must have default-src and frame-ancestors']),
    ...(headers.has('referrer-policy') ? [] : ['referrer-policy is missing']),
    ...(headers.has('x-powered-by') ? ['x-powered-by must not be sent'] : []),
  ];
}

/** Whether the headers that browsers obey reach them: a proxy between may remove or replace them. */
export const securityHeaders: Check = {
  id: 'security-headers',
  means: 'A foreign page can frame the room, or a browser can be led to it without TLS.',
  run: async ({ config: { publicUrl } }) => {
    const correct = `Let the proxy before the orchestrators pass their headers on. Compare: curl -sI ${publicUrl}/healthz`;
    const answer = await ask(`${publicUrl}/healthz`, { redirect: 'manual' });
    if (answer.status !== 200) return fail(`${publicUrl} ${saysOf(answer)}.`, 'Correct the check public-url first.');
    const problems = headerProblems(answer.headers, publicUrl.startsWith('https:'));
    return problems.length === 0 ? ok('All are sent.') : fail(`${problems.join('; ')}.`, correct);
  },
};
