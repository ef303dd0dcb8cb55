import { createFlyApps } from './apps.ts';
import {
  type CreateOutcome,
  classifyCreate,
  classifyGet,
  classifyRefusal,
  type FlyMachine,
  type FlyRefusal,
  type Presence,
  parseMachine,
} from './classify.ts';
import { type Call, type CommandOutcome, commandOutcome, createSend, type SendOptions } from './send.ts';

/** The requests that we send to Fly's Machines API, with classified answers (`classify.ts`). No method throws. */
export type ListOutcome = { kind: 'listed'; machines: FlyMachine[] } | FlyRefusal;

export type FlyClient = ReturnType<typeof createFlyClient>;

export function createFlyClient(options: SendOptions) {
  const { send, close } = createSend(options);
  const command = async (call: Call): Promise<CommandOutcome> => commandOutcome(await send(call));

  const machines = (app: string) => `/apps/${encodeURIComponent(app)}/machines`;
  const machine = (app: string, id: string) => `${machines(app)}/${encodeURIComponent(id)}`;

  const list = async (app: string, query = ''): Promise<ListOutcome> => {
    const raw = await send({ method: 'GET', path: `${machines(app)}${query}`, app });
    if (raw.status !== 200 || 'error' in raw || !Array.isArray(raw.body))
      return classifyRefusal(raw.status === 200 ? { status: 0, error: undefined } : raw);
    return { kind: 'listed', machines: raw.body.map(parseMachine).filter((m): m is FlyMachine => m !== undefined) };
  };

  return {
    create: async (app: string, body: object, signal?: AbortSignal): Promise<CreateOutcome> =>
      classifyCreate(await send({ method: 'POST', path: machines(app), app, body, signal })),
    get: async (app: string, id: string): Promise<Presence> =>
      classifyGet(await send({ method: 'GET', path: machine(app, id), app })),
    /** All machines of an app. An empty or failed list is not evidence that a machine is gone. */
    list: (app: string) => list(app),
    /** Machines of an app whose metadata has this value. */
    findByMetadata: (app: string, key: string, value: string) =>
      list(app, `?metadata.${key}=${encodeURIComponent(value)}`),
    stop: (app: string, id: string, signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL', timeout: string) =>
      command({ method: 'POST', path: `${machine(app, id)}/stop`, app, body: { signal, timeout } }),
    /** Idempotent: starting a running machine has no effect. */
    start: (app: string, id: string) => command({ method: 'POST', path: `${machine(app, id)}/start`, app, body: {} }),
    destroy: (app: string, id: string) => command({ method: 'DELETE', path: `${machine(app, id)}?force=true`, app }),
    apps: createFlyApps(send),
    /** Whether Fly answers `GET /platform/regions` with 200. */
    reachable: async (): Promise<boolean> => (await send({ method: 'GET', path: '/platform/regions' })).status === 200,
    close,
  };
}
