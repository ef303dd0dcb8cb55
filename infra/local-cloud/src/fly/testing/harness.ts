/** For the tests of this folder: a stand-in with one app, an API client, and waiting for conditions. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FlyOptions, type LocalFly, startFly } from '../fly.ts';

export const WORKER = 'registry.fly.io/worker:v1';
export const IN_PROCESS = 'registry.fly.io/in-process:v1';
export const TOKEN = 'fm2_test';

export interface Called {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on single fields of a body
  body: any;
  headers: Headers;
}

export interface Harness {
  fly: LocalFly;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Called>;
  /** Creates a machine in app `work` and returns its id. Throws if it was not created. */
  create(fields?: Record<string, unknown>, config?: Record<string, unknown>): Promise<string>;
  get(id: string): Promise<Called>;
  /** Waits for a state through the API. */
  reach(id: string, state: string): Promise<void>;
  stop(): Promise<void>;
}

const tinyWorker = fileURLToPath(new URL('./tiny-worker.ts', import.meta.url));

export const SERVICES = [{ protocol: 'tcp', internal_port: 8080, ports: [{ port: 443, handlers: ['tls', 'http'] }] }];

/** Polls until `check` returns a value. Throws after `limitMs` (default 60,000). */
export async function until<T>(check: () => T | undefined | Promise<T | undefined>, limitMs = 60_000): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error('the condition was not met in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function startHarness(options: Partial<FlyOptions> = {}): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'fly-test-'));
  const fly = await startFly({ dir, token: TOKEN, limits: false, ...options });
  fly.registerImage(WORKER, { command: [process.execPath, tinyWorker] });
  fly.registerImage(IN_PROCESS, { inProcess: () => ({ stop: () => undefined }), apiSocket: false });

  const call: Harness['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(`${fly.apiUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  const machines = '/v1/apps/rooms/machines';
  await call('POST', '/v1/apps', { app_name: 'rooms', org_slug: 'local' });

  return {
    fly,
    call,
    get: (id) => call('GET', `${machines}/${id}`),
    create: async (fields = {}, config = {}) => {
      const body = { region: 'fra', ...fields, config: { image: IN_PROCESS, ...config } };
      const created = await call('POST', machines, body);
      if (created.status !== 200) throw new Error(`create: ${created.status} ${JSON.stringify(created.body)}`);
      return created.body.id as string;
    },
    reach: async (id, state) => {
      const waited = await call('GET', `${machines}/${id}/wait?state=${state}&timeout=10`);
      if (waited.status !== 200) throw new Error(`wait ${state}: ${waited.status} ${JSON.stringify(waited.body)}`);
    },
    stop: async () => {
      await fly.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
