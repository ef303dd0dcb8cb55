import path from 'node:path';
import { imageOfTree } from '@greenroom/tools/images/from-tree.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { startCandidate } from '../../tools/demo/interview.ts';
import { createPlatform } from '../../tools/demo/platform.ts';
import { type BareCloud, startBareCloud } from '../support/bare-cloud.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { sessionBody, until } from '../support/session.ts';

/** From empty accounts to an interview with `greenroom` alone, and its messages when something is wrong. */
const root = path.resolve(import.meta.dirname, '../..');
let bare: BareCloud;
let receiver: OtlpReceiver;
let layouts: { worker: string; orchestrator: string };
/** The image after the rollback; undefined while no rollback has run. */
let workerImage: string | undefined;

interface Ran {
  code: number;
  document: Record<string, unknown> & { code?: string; message?: string };
  progress: string;
}

async function greenroom(args: string[], changes: Record<string, string | undefined> = {}): Promise<Ran> {
  const printed: string[] = [];
  const progress: string[] = [];
  const code = await runProgram(
    ['--json', '--env-file', '/dev/null', ...args],
    {
      environment: { ...bare.variables, ...changes },
      cwd: bare.dir,
      print: (line) => void printed.push(line),
      progress: (line) => void progress.push(line),
    },
    root,
  );
  return { code, document: JSON.parse(printed.at(-1) ?? '{}'), progress: progress.join('\n') };
}

const orchestrators = () => bare.cloud.fly.machines().filter(({ app }) => app === 'greenroom-orchestrator');
const live = () => bare.cloud.fly.machines().filter(({ state }) => state !== 'destroying');
/** A snapshot to compare: a refused command must leave all of it unchanged. */
const fingerprint = () => JSON.stringify(live().map(({ id, instanceId, state }) => [id, instanceId, state]));

beforeAll(async () => {
  bare = await startBareCloud();
  receiver = await startOtlpReceiver();
  Object.assign(bare.variables, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-backend-key=the%20key',
  });
  bare.cloud.fly.crossNetworkReplay.enable();
  layouts = { worker: path.join(bare.dir, 'worker.oci'), orchestrator: path.join(bare.dir, 'orchestrator.oci') };
  await imageOfTree('worker', layouts.worker);
  await imageOfTree('orchestrator', layouts.orchestrator);
});
afterAll(async () => {
  await bare?.stop();
  await receiver?.stop();
});

describe('an empty deployment', () => {
  test('orchestrators wait for a worker image, and the message names the command', async () => {
    const { code, document } = await greenroom(['deploy', 'orchestrator', '--oci', layouts.orchestrator]);
    expect([code, document.code]).toEqual([78, 'no_worker_image']);
    expect(document.message).toContain('greenroom deploy worker');
  });
  test('a dry run of the migration says what it would apply and applies nothing', async () => {
    const { document } = await greenroom(['migrate', '--dry-run']);
    expect(document).toMatchObject({ ok: true, recorded: [], pending: [expect.stringMatching(/^\d{14}$/)] });
    expect((await greenroom(['migrate', '--dry-run'])).document).toEqual(document);
  });
});

describe('the worker image', () => {
  test('an image whose machine exits at boot is not used', async () => {
    const { code, document } = await greenroom(['deploy', 'worker', '--oci', layouts.orchestrator]);
    expect([code, document.code]).toEqual([1, 'image_does_not_boot']);
    expect(document.message).toContain('exit code');
    expect(live()).toEqual([]);
  });
  test('is pushed, pinned by its digest and tried in a machine that is destroyed afterwards', async () => {
    const { code, document, progress } = await greenroom(['deploy', 'worker', '--oci', layouts.worker]);
    expect(progress).toContain('trying ');
    expect([code, document]).toEqual([
      0,
      expect.objectContaining({ image: expect.stringMatching(/\/greenroom-worker@sha256:[0-9a-f]{64}$/) }),
    ]);
    expect(live()).toEqual([]);
  });
});

describe('orchestrators', () => {
  test('are deployed in two regions, from the image, after the release command has migrated the database', async () => {
    const { code, document, progress } = await greenroom(['deploy', 'orchestrator', '--oci', layouts.orchestrator]);
    expect([code, document.message]).toEqual([0, undefined]);
    expect(document).toMatchObject({ ok: true, regions: ['fra', 'iad'] });
    expect(progress).toContain('release command');
    expect(orchestrators().map(({ region, state }) => [region, state])).toEqual([
      ['fra', 'started'],
      ['iad', 'started'],
    ]);
    expect((await fetch(`${bare.variables.PUBLIC_URL}/readyz`)).status).toBe(200);
    expect((await greenroom(['migrate'])).document).toMatchObject({ ok: true, applied: [] });
  });

  test('a smoke test runs one whole interview and leaves no machine', async () => {
    const { code, document, progress } = await greenroom(['smoke', '--region', 'fra']);
    expect([code, document.checks, progress]).toEqual([0, expect.any(Array), expect.any(String)]);
    expect((document.checks as Array<{ ok: boolean }>).every(({ ok }) => ok)).toBe(true);
    expect(bare.cloud.fly.machines().filter(({ app }) => app !== 'greenroom-orchestrator')).toEqual([]);
  });

  test('export one trace of that interview, from its POST to the end of its worker: both images hold what that needs', async () => {
    const request = await until('the request is exported', () =>
      receiver.spans.find(({ name }) => name === 'POST /api/sessions'),
    );
    const spans = () => receiver.spans.filter(({ traceId }) => traceId === request.traceId);
    const wanted = ['create machine', 'fly create', 'boot worker', 'claim', 'GET /ws/sessions/:id', 'teardown'];
    for (const one of [...wanted, 'provider create call'])
      await until(`${one} is exported`, () => spans().some(({ name }) => name === one));
    expect([...new Set(spans().map(({ service }) => service))].toSorted()).toEqual([
      'greenroom-orchestrator',
      'greenroom-session-worker',
    ]);
    expect(receiver.headers).toMatchObject({ 'x-backend-key': 'the key' });
  });
});

/** A tenant with one standby machine and a live interview. */
async function liveInterview() {
  const operate = async (method: string, url: string, body?: object) =>
    (await (
      await fetch(`${bare.variables.PUBLIC_URL}/api/tenants${url}`, {
        method,
        headers: { authorization: `Bearer ${bare.operatorToken}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    ).json()) as { id: string; key: string };
  const tenant = await operate('POST', '', { slug: 'acme', name: 'Acme', max_standby: 2 });
  const { key } = await operate('POST', `/${tenant.id}/api-keys`, { name: 'k' });
  const platform = createPlatform(bare.variables.PUBLIC_URL as string, key);
  const session = await platform.createSession(sessionBody(), { prefer: 'wait=30' });
  await operate('PUT', `/${tenant.id}/pools/fra`, { floor: 1, ceiling: 1 });
  await until('a standby machine rests', () => standby().length === 1, 90_000);
  return { platform, session };
}
const ofTenants = () => bare.cloud.fly.machines().filter(({ metadata }) => metadata.deployment_id !== undefined);
const standby = () =>
  ofTenants().filter(
    ({ metadata, state }) => metadata.session_id === undefined && ['created', 'stopped'].includes(state),
  );

describe('a new worker image', () => {
  test('replaces the standby machines and leaves a live interview on its machine; a rollback goes back', async () => {
    const { platform, session } = await liveInterview();
    const before = ofTenants().find(({ metadata }) => metadata.session_id === session.session_id);
    const [idle] = standby();
    const other = path.join(bare.dir, 'other.oci');
    await imageOfTree('worker', other, ['RELEASE=2']);

    const deployed = await greenroom(['deploy', 'worker', '--oci', other]);
    expect([deployed.code, deployed.document]).toEqual([
      0,
      expect.objectContaining({ standby_on_other_images: 0, live_on_other_images: 1 }),
    ]);
    expect(ofTenants().some(({ id }) => id === idle?.id)).toBe(false);
    const after = ofTenants().find(({ metadata }) => metadata.session_id === session.session_id);
    expect(after).toMatchObject({ id: before?.id, instanceId: before?.instanceId, state: 'started' });

    const back = await greenroom(['deploy', 'worker', '--rollback', '--no-wait']);
    expect([back.code, back.document.image]).not.toEqual([0, deployed.document.image]);
    expect(back.code).toBe(0);
    workerImage = String(back.document.image);
    const { ended } = startCandidate({ websocketUrl: session.websocket_url, joinToken: session.join_token ?? '' });
    expect((await ended).outcome).toBe('completed');
    expect((await platform.waitFor(session.session_id, ({ status }) => status === 'completed', 90_000)).epoch).toBe(1);
  }, 180_000);
});

/** Images of the tenants' machines, as Fly shows them. */
async function imagesOfTenants(): Promise<string[]> {
  const ids = new Set(ofTenants().map(({ id }) => id));
  const apps = new Set(ofTenants().map(({ app }) => app));
  const headers = { authorization: `Bearer ${bare.variables.FLY_API_TOKEN}` };
  const lists = await Promise.all(
    [...apps].map(async (app) => {
      const answer = await fetch(`${bare.variables.FLY_API_URL}/v1/apps/${app}/machines`, { headers });
      return (await answer.json()) as Array<{ id: string; config: { image: string } }>;
    }),
  );
  return lists.flat().flatMap(({ id, config }) => (ids.has(id) ? [config.image] : []));
}

describe('a refused command changes nothing', () => {
  // The pool and the interview of the tests before go on by themselves; a fingerprint must not change because of them.
  beforeAll(async () => {
    if (workerImage !== undefined)
      await until('one standby machine of the image is left', async () => {
        const images = await imagesOfTenants();
        return standby().length === 1 && images.length === 1 && images[0] === workerImage;
      });
  });
  const refused: Array<
    [what: string, args: () => string[], changes: () => Record<string, string>, code: number, name: string]
  > = [
    [
      'a token that Fly does not know',
      () => ['deploy', 'worker', '--oci', layouts.worker],
      () => ({ FLY_API_TOKEN: 'fo1_wrong' }),
      4,
      'fly_token',
    ],
    [
      'a token of another organisation',
      () => ['deploy', 'worker', '--oci', layouts.worker],
      () => ({ FLY_ORG: 'another' }),
      4,
      'app_of_other_organisation',
    ],
    [
      'an image that does not exist',
      () => ['deploy', 'worker', '--image', `${bare.variables.FLY_REGISTRY}/greenroom-worker@sha256:${'0'.repeat(64)}`],
      () => ({}),
      3,
      'no_such_image',
    ],
    ['no source of the image', () => ['deploy', 'worker'], () => ({}), 2, 'image_source'],
    [
      'keys that are swapped',
      () => ['deploy', 'orchestrator', '--oci', layouts.orchestrator],
      () => ({ DB_SIGNING_KEY: bare.variables.OPENAI_API_KEY as string }),
      78,
      'configuration',
    ],
    [
      'a deployment id of another stack',
      () => ['deploy', 'orchestrator', '--oci', layouts.orchestrator],
      () => ({ SUPABASE_URL: 'http://127.0.0.1:9' }),
      65,
      'deployment_id_in_use',
    ],
    [
      'another deployment id for these orchestrators',
      () => ['deploy', 'worker', '--oci', layouts.worker],
      () => ({ DEPLOYMENT_ID: 'staging' }),
      65,
      'other_deployment',
    ],
    [
      'a database password that is wrong',
      () => ['migrate'],
      () => ({ SUPABASE_DB_URL: (bare.variables.SUPABASE_DB_URL as string).replace(/:[^:@]+@/, ':wrong@') }),
      4,
      'database_password',
    ],
    [
      'a database that is away',
      () => ['migrate'],
      () => ({ SUPABASE_DB_URL: 'postgresql://postgres:x@127.0.0.1:9/postgres' }),
      69,
      'database_away',
    ],
  ];
  test.each(refused)('%s', async (_what, args, changes, code, name) => {
    const before = fingerprint();
    const ran = await greenroom(args(), changes());
    expect([ran.code, ran.document.code ?? '']).toEqual([code, name]);
    expect(fingerprint()).toBe(before);
  });

  test('a release command that fails: no orchestrator is replaced', async () => {
    const before = fingerprint();
    const { code, document } = await greenroom(['deploy', 'orchestrator', '--oci', layouts.worker]);
    expect([code, document.code]).toEqual([1, 'release_command_failed']);
    expect(fingerprint()).toBe(before);
  });
});
