import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { InProcessGuest } from '@greenroom/local-cloud/fly/fly.ts';

/**
 * A worker reduced to what a burst waits for: it proves its identity, claims its session and renews its lease. It runs in the
 * benchmark's process, so that the benchmark measures the control plane and not a hundred starts of Node.
 */
const identityToken = (socketPath: string, audience: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const request = http.request({ socketPath, path: '/v1/tokens/oidc', method: 'POST', headers }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve(text.trim()));
    });
    request.once('error', reject);
    request.end(JSON.stringify({ aud: audience }));
  });

export const lightWorker: InProcessGuest = ({ env, log }) => {
  const orchestrator = env.ORCHESTRATOR_URL ?? '';
  const stopping = new AbortController();
  let beat: NodeJS.Timeout | undefined;
  const post = async (path: string, token: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${orchestrator}/worker/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: stopping.signal,
    });
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
    return (await answer.json()) as Record<string, unknown>;
  };
  const serve = async (): Promise<void> => {
    const token = await identityToken(env.FLY_API_SOCKET ?? '', orchestrator);
    const claim = await post('/claim', token, { boot_nonce: randomUUID() });
    const heartbeat = () =>
      post('/heartbeat', claim.worker_token as string, { presence: 'absent', unsaved_entries: 0 }).catch(
        () => undefined,
      );
    beat = setInterval(heartbeat, 5_000);
  };
  void serve().catch((error: unknown) => {
    if (!stopping.signal.aborted) log(`light worker: ${String(error)}`);
  });
  return {
    stop: () => {
      stopping.abort();
      clearInterval(beat);
    },
  };
};
