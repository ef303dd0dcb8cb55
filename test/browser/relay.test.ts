import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { endOf, platformOf, sessionBody, until } from '../support/session.ts';

const secret = 'shared-with-the-relay';

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** Package coturn of Debian and Ubuntu. */
const hasRelay = (process.env.PATH ?? '').split(path.delimiter).some((dir) => existsSync(path.join(dir, 'turnserver')));

/** Debian's coturn: on loopback, TCP to the browser, credentials by the shared secret. */
async function startRelay(port: number, dir: string): Promise<ChildProcess> {
  const relay = spawn(
    'turnserver',
    [
      ...['-n', '--no-cli', '--no-tls', '--no-dtls', '--allow-loopback-peers', '--no-udp'],
      ...['--listening-ip', '127.0.0.1', '--relay-ip', '127.0.0.1', '--listening-port', String(port)],
      ...['--use-auth-secret', '--static-auth-secret', secret, '--realm', 'greenroom.test'],
      ...['--pidfile', path.join(dir, 'relay.pid'), '--userdb', path.join(dir, 'relay.db')],
      ...['--log-file', path.join(dir, 'relay.log'), '--simple-log'],
    ],
    { stdio: 'ignore', cwd: dir },
  );
  await until('the relay listens', () => isOpen(port));
  return relay;
}

/** Runs in the page: the browser uses no path but a relay, like one on a network without UDP. */
function relayOnly(): void {
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(configuration?: RTCConfiguration) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
    }
  } as typeof RTCPeerConnection;
}

describe.skipIf(!hasRelay)('a candidate on a network that lets no UDP through', () => {
  let stack: Stack;
  let browser: Browser;
  let relay: ChildProcess;
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'greenroom-relay-'));
    const port = await freePort();
    relay = await startRelay(port, dir);
    stack = await startStack({
      voice: { turns: 2, paceMs: 200, maxTurnMs: 1_500 },
      environment: {
        ICE_SERVERS: JSON.stringify([{ urls: [`turn:127.0.0.1:${port}?transport=tcp`] }]),
        TURN_SECRET: secret,
      },
    });
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
    relay?.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  const begin = async (context: BrowserContext) => {
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await context.newPage();
    await page.addInitScript(relayOnly);
    await page.goto(session.join_url ?? '');
    await page.getByRole('button', { name: 'Start the interview' }).click();
    return { session, page };
  };

  test('completes an interview through the relay, with credentials made for this session', async () => {
    const context = await browser.newContext({ locale: 'en-GB' });
    const { session, page } = await begin(context);
    await page.waitForFunction(() => document.body.dataset.ended !== undefined, undefined, { timeout: 90_000 });
    expect(await page.evaluate(() => document.body.dataset.ended)).toBe('completed/interviewer_finished');
    const ended = await endOf(stack, session.session_id);
    expect(ended.status).toBe('completed');
    const { entries } = await platformOf(stack).transcript(session.session_id);
    expect(new Set(entries.map(({ speaker }) => speaker))).toEqual(new Set(['ai', 'candidate']));
    await context.close();
  });

  test('is told within seconds that nothing gets through when the relay is away', async () => {
    relay.kill();
    await until('the relay is gone', async () => relay.exitCode !== null || relay.signalCode !== null);
    const context = await browser.newContext({ locale: 'en-GB' });
    const { session, page } = await begin(context);
    await page.getByRole('alert').getByText('You are not heard right now').waitFor({ timeout: 25_000 });
    await context.close();
    await platformOf(stack).deleteSession(session.session_id);
  });
});
