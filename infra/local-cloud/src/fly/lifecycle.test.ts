import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Harness, IN_PROCESS, SERVICES, startHarness, TOKEN, until, WORKER } from './testing/harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ machineEnv: { PLATFORM_EXTRA: 'yes' } });
});
afterAll(() => harness.stop());

const ROOT = '/v1/apps/rooms/machines';
const call: Harness['call'] = (...args) => harness.call(...args);
const snapshot = (id: string) => harness.fly.machines().find((machine) => machine.id === id)!;
const ONE_SHOT = { auto_destroy: true, restart: { policy: 'no' }, stop_config: { signal: 'SIGTERM', timeout: '10s' } };

/** A machine whose process is listening. */
async function running(config: Record<string, unknown> = ONE_SHOT, fields: Record<string, unknown> = {}) {
  const id = await harness.create(fields, { image: WORKER, services: SERVICES, ...config });
  await harness.reach(id, 'started');
  await until(() => harness.fly.machineLogs(id).includes('listening') || undefined);
  return { id, url: `http://${snapshot(id).address}:8080`, pid: snapshot(id).pid! };
}
const exitEvent = async (id: string) =>
  (await call('GET', `${ROOT}/${id}/events`)).body.find(({ type }: { type: string }) => type === 'exit').request
    .exit_event;
const alive = (pid: number) => existsSync(`/proc/${pid}`);

describe('a machine is a process', () => {
  it('with its own address, the platform environment, its env and secrets, and nothing else of ours', async () => {
    await call('POST', '/v1/apps/rooms/secrets', { values: { APP_SECRET: 's' } });
    const { id, url } = await running(
      { ...ONE_SHOT, env: { MINE: '1', OTHER_HOST: '0.0.0.0', HOST: 'not this' } },
      { region: 'nrt' },
    );
    const { env } = (await (await fetch(url)).json()) as { env: Record<string, string> };
    expect(env).toMatchObject({
      FLY_APP_NAME: 'rooms',
      FLY_MACHINE_ID: id,
      FLY_ALLOC_ID: id,
      FLY_REGION: 'nrt',
      FLY_IMAGE_REF: expect.stringMatching(/^registry\.fly\.io\/worker:v1@sha256:/),
      FLY_MACHINE_VERSION: snapshot(id).instanceId,
      FLY_PRIVATE_IP: new URL(url).hostname,
      HOST: new URL(url).hostname,
      OTHER_HOST: new URL(url).hostname,
      MINE: '1',
      APP_SECRET: 's',
      PLATFORM_EXTRA: 'yes',
    });
    expect(env.FLY_API_SOCKET?.length).toBeLessThan(108);
    expect(env).not.toHaveProperty('HOME');
    expect(url).not.toBe((await running()).url);
  });

  it('that exits by itself is destroyed with auto_destroy, and the exit is recorded', async () => {
    const { id, url } = await running();
    await fetch(`${url}/exit?code=3`).catch(() => undefined);
    await harness.reach(id, 'destroyed');
    expect(await exitEvent(id)).toMatchObject({
      exit_code: 3,
      requested_stop: false,
      oom_killed: false,
      restarting: false,
    });
  });

  it('that is stopped gets the signal, and the exit is recorded as requested', async () => {
    const { id } = await running({ restart: { policy: 'always' }, stop_config: { signal: 'SIGTERM' } });
    await call('POST', `${ROOT}/${id}/stop`, {});
    await harness.reach(id, 'stopped');
    expect(await exitEvent(id)).toMatchObject({ exit_code: 0, requested_stop: true, restarting: false });
  });

  it('that ignores its signal is killed after the timeout', async () => {
    const { id, pid } = await running();
    await call('POST', `${ROOT}/${id}/stop`, { signal: 'SIGUSR1', timeout: '300ms' });
    await until(() => harness.fly.machineLogs(id).includes('asked by SIGUSR1') || undefined);
    await harness.reach(id, 'destroyed');
    expect([await exitEvent(id), alive(pid)]).toEqual([
      expect.objectContaining({ exit_code: 137, guest_signal: 9 }),
      false,
    ]);
  });

  it('that is killed for lack of memory is recorded as out of memory', async () => {
    const { id } = await running();
    harness.fly.killMachineProcess(id, 'OOM');
    await harness.reach(id, 'destroyed');
    expect(await exitEvent(id)).toMatchObject({ oom_killed: true, requested_stop: false, guest_signal: 9 });
  });

  it('is restarted after a crash when its policy is on-failure, up to max_retries', async () => {
    const { id, url } = await running({ restart: { policy: 'on-failure', max_retries: 1 } });
    const crash = () => fetch(`${url}/exit?code=1`).catch(() => undefined);
    await crash();
    await until(() => harness.fly.machineLogs(id).filter((line) => line === 'listening').length === 2 || undefined);
    expect(await exitEvent(id)).toMatchObject({ exit_code: 1, restarting: true });
    await crash();
    await harness.reach(id, 'stopped');
    expect(await exitEvent(id)).toMatchObject({ restarting: false });
  });

  it('with a command that does not exist exits with 127', async () => {
    harness.fly.registerImage('registry.fly.io/broken:v1', { command: ['/nowhere/at/all'] });
    const id = await harness.create({}, { ...ONE_SHOT, image: 'registry.fly.io/broken:v1' });
    await harness.reach(id, 'destroyed');
    expect(await exitEvent(id)).toMatchObject({ exit_code: 127 });
  });

  it('moves to another address when its host is drained, and keeps its id', async () => {
    const { id, url, pid } = await running();
    await harness.fly.migrateMachine(id);
    await until(() => harness.fly.machineLogs(id).filter((line) => line === 'listening').length === 2 || undefined);
    expect([snapshot(id).state, snapshot(id).address === new URL(url).hostname, alive(pid)]).toEqual([
      'started',
      false,
      false,
    ]);
    expect(await exitEvent(id)).toMatchObject({ requested_stop: true });
  });
});

describe('a lost host', () => {
  it('is shown as unreachable without configuration; machines keep their state until the platform gives it up', async () => {
    const { id, pid } = await running({ ...ONE_SHOT, metadata: { a: '1' } });
    harness.fly.loseHost(id, { destroyedAfterMs: 200 });
    await until(() => !alive(pid) || undefined);
    const { body } = await harness.get(id);
    expect(body).toMatchObject({
      state: 'started',
      host_status: 'unreachable',
      incomplete_config: { metadata: { a: '1' } },
    });
    expect(body.config).toBeUndefined();
    await harness.reach(id, 'destroyed');
  });

  it('accepts a destroy, which is carried out when the host is back', async () => {
    const { id, url, pid } = await running();
    harness.fly.loseHost(id, { process: 'keep' });
    expect((await call('POST', `${ROOT}/${id}/stop`, {})).status).toBe(503);
    expect((await call('DELETE', `${ROOT}/${id}?force=true`)).status).toBe(200);
    expect((await harness.get(id)).body.state).toBe('destroying');
    expect((await fetch(url)).status).toBe(200);
    harness.fly.restoreHost(id);
    await harness.reach(id, 'destroyed');
    expect(alive(pid)).toBe(false);
  });
});

describe('identity', () => {
  it('is a token from the machine’s own socket that verifies against the discovery document', async () => {
    const { id, url } = await running(ONE_SHOT, { name: 'gr-1', region: 'lhr' });
    const token = await (await fetch(`${url}/identity?aud=https://orchestrator.test`)).text();
    const issuer = harness.fly.oidcIssuer('local');
    const discovery = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as Record<
      string,
      string
    >;
    expect(discovery.issuer).toBe(issuer);
    const keys = createRemoteJWKSet(new URL(discovery.jwks_uri!));
    const audience = 'https://orchestrator.test';
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience, algorithms: ['RS256'] });
    expect(protectedHeader.alg).toBe('RS256');
    expect(payload).toMatchObject({
      sub: 'local:rooms:gr-1',
      app_name: 'rooms',
      org_name: 'local',
      machine_id: id,
      machine_name: 'gr-1',
      machine_version: snapshot(id).instanceId,
      region: 'lhr',
      image: 'registry.fly.io/worker:v1',
      image_digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      jti: expect.any(String),
    });
    expect(payload.exp! - payload.iat!).toBe(600);
  });

  it('can be expired, signed by a foreign key, or refused, on cue', async () => {
    const { url } = await running();
    const ask = async () => (await fetch(`${url}/identity`)).text();
    harness.fly.faults.add({ on: 'oidc', action: { kind: 'special', name: 'expired' } });
    expect(decodeJwt(await ask()).exp).toBeLessThan(Date.now() / 1_000);
    harness.fly.faults.add({ on: 'oidc', action: { kind: 'special', name: 'foreign_key' } });
    const foreign = await ask();
    const keys = createRemoteJWKSet(new URL(`${harness.fly.oidcIssuer()}/.well-known/jwks`));
    await expect(jwtVerify(foreign, keys)).rejects.toThrow();
    harness.fly.faults.add({ on: 'oidc', action: { kind: 'status', status: 500 } });
    expect(await ask()).toBe('{"error":"unavailable"}');
  });

  it('is not issued once the machine has ended', async () => {
    const { id, url } = await running();
    const { env } = (await (await fetch(url)).json()) as { env: Record<string, string> };
    await call('DELETE', `${ROOT}/${id}?force=true`);
    await harness.reach(id, 'destroyed');
    const asking = request({ socketPath: env.FLY_API_SOCKET!, path: '/v1/tokens/oidc', method: 'POST' });
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => asking.once('error', resolve).end('{}'));
    expect(error.code).toMatch(/ENOENT|ECONNREFUSED/);
  });
});

describe('in-process machines', () => {
  it('get the same context, end by themselves or by a signal, and have no process', async () => {
    const seen: string[] = [];
    harness.fly.registerImage('registry.fly.io/label:v1', {
      inProcess: ({ host, env, log, exit }) => {
        log(`up on ${host} in ${env.FLY_REGION}`);
        if (env.LEAVE === 'now') exit(4);
        return { stop: (signal) => seen.push(signal) };
      },
    });
    const image = 'registry.fly.io/label:v1';
    const stays = await harness.create({}, { ...ONE_SHOT, image });
    await harness.reach(stays, 'started');
    expect([snapshot(stays).pid, harness.fly.machineLogs(stays)]).toEqual([
      undefined,
      [`up on ${snapshot(stays).address} in fra`],
    ]);
    await call('POST', `${ROOT}/${stays}/stop`, {});
    await harness.reach(stays, 'destroyed');
    expect(seen).toEqual(['SIGTERM']);
    const leaves = await harness.create({}, { ...ONE_SHOT, image, env: { LEAVE: 'now' } });
    await harness.reach(leaves, 'destroyed');
    expect(await exitEvent(leaves)).toMatchObject({ exit_code: 4 });
  });

  it('run by the hundred', async () => {
    const ids = await Promise.all(Array.from({ length: 100 }, () => harness.create({}, { image: IN_PROCESS })));
    await Promise.all(ids.map((id) => harness.reach(id, 'started')));
    expect(harness.fly.health().started).toBeGreaterThanOrEqual(100);
  });
});

describe('stopping the stand-in', () => {
  it('stop ends everything in progress: a destroy, a hanging call, an upgrade that waits for its machine', async () => {
    const replay = { app: 'rooms', instance: '' };
    const app = createServer();
    app.on('upgrade', (_request, socket) =>
      socket.end(`HTTP/1.1 200 OK\r\nfly-replay: app=rooms;instance=${replay.instance};timeout=60s\r\n\r\n`),
    );
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const other = await startHarness({
      latency: 'documented',
      orchestrators: () => [`http://127.0.0.1:${(app.address() as AddressInfo).port}`],
    });
    replay.instance = await other.create({ skip_launch: true }, { services: SERVICES });
    const socket = new WebSocket(other.fly.proxyUrl.replace('http', 'ws'));
    const cut = once(socket, 'error');
    await until(() => other.fly.proxyStats.replays === 1 || undefined);
    other.fly.faults.add({ on: 'machines.list', action: { kind: 'hang' } });
    const hung = other.call('GET', ROOT).catch((error: Error) => error);
    await until(() => other.fly.faults.fired['machines.list'] === 1 || undefined);
    const dying = await other.create({}, { image: IN_PROCESS });
    await other.call('DELETE', `${ROOT}/${dying}?force=true`);
    const startedMs = performance.now();
    await other.stop();
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    expect(await hung).toBeInstanceOf(Error);
    await cut;
    await new Promise((resolve) => app.close(resolve));
  }, 10_000);

  it('stop leaves no machine process behind, a frozen one included', async () => {
    const other = await startHarness();
    const config = { image: WORKER, restart: { policy: 'always' } };
    const ids = await Promise.all([other.create({}, config), other.create({}, config)]);
    await Promise.all(ids.map((id) => other.reach(id, 'started')));
    const pids = other.fly.machines().map(({ pid }) => pid!);
    other.fly.loseHost(ids[0]!, { process: 'freeze' });
    await other.stop();
    expect(pids.map(alive)).toEqual([false, false]);
    await expect(fetch(other.fly.apiUrl, { headers: { authorization: `Bearer ${TOKEN}` } })).rejects.toThrow();
  });

  it('machines end when the stand-in is killed', async () => {
    const script = fileURLToPath(new URL('./testing/killed-stand-in.ts', import.meta.url));
    const temporary = await mkdtemp(join(tmpdir(), 'fly-killed-'));
    const standIn = spawn(process.execPath, [script], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(standIn.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(alive(pid)).toBe(true);
    standIn.kill('SIGKILL');
    await until(() => !alive(pid) || undefined);
    await rm(temporary, { recursive: true, force: true });
  });
});
