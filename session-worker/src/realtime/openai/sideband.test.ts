import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import type { ProviderEvent } from './events.ts';
import { createSideband, updateOf } from './sideband.ts';

const log = silentLogger();

describe('the sideband', () => {
  let closeServer = async () => {};
  afterEach(() => closeServer());
  const serve = async (
    onConnection: (
      say: (event: object) => void,
      cut: () => void,
      hear: (on: (said: ProviderEvent) => void) => void,
      n: number,
    ) => void,
    refuse: (attempt: number) => number | undefined = () => undefined,
  ) => {
    const server = createServer();
    const sockets = new WebSocketServer({ noServer: true });
    let attempts = 0;
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      attempts += 1;
      const status = refuse(attempts);
      if (status) return void socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const hear = (on: (said: ProviderEvent) => void) =>
          void ws.on('message', (data) => on(JSON.parse(String(data)) as ProviderEvent));
        onConnection(
          (event) => ws.send(JSON.stringify(event)),
          () => ws.terminate(),
          hear,
          attempts,
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closeServer = async () => {
      for (const ws of sockets.clients) ws.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/realtime?call_id=rtc_1`,
      attempts: () => attempts,
    };
  };
  const attach = (url: string, more: Partial<Parameters<typeof createSideband>[0]> = {}) => {
    const seen = { onEvent: vi.fn(), onReady: vi.fn(), onMissing: vi.fn(), onGone: vi.fn() };
    const session = { type: 'realtime', model: 'm', instructions: 'i' };
    return {
      ...seen,
      sideband: createSideband({
        url,
        credential: 'ek_1',
        session,
        clock: systemClock,
        log,
        attachMs: 2_000,
        random: () => 0,
        ...seen,
        ...more,
      }),
    };
  };
  const until = (condition: () => void) => vi.waitFor(condition, { timeout: 30_000, interval: 5 });

  test('is ready when our session.update is answered, not when the socket opens', async () => {
    let answer: (() => void) | undefined;
    const { url } = await serve((say, _cut, hear) => hear(() => (answer = () => say({ type: 'session.updated' }))));
    const { sideband, onReady } = attach(url);
    await until(() => expect(answer).toBeDefined());
    expect(await sideband.ready(50)).toBe('degraded');
    answer?.();
    expect(await sideband.ready(2_000)).toBe('ready');
    expect(onReady).toHaveBeenCalledWith(true, true);
    sideband.close();
  });

  test('reconnects at once after the first loss only, when the provider repeatedly accepts and closes', async () => {
    const { url, attempts } = await serve((say, cut, hear) =>
      hear(() => {
        say({ type: 'session.updated' });
        setTimeout(cut, 5);
      }),
    );
    const delaysMs: number[] = [];
    const clock = {
      ...systemClock,
      setTimer: (run: () => void, delayMs: number) => {
        delaysMs.push(delayMs);
        return systemClock.setTimer(run, delayMs);
      },
    };
    const { sideband, onReady } = attach(url, { clock });
    await until(() => expect(attempts()).toBeGreaterThan(4));
    expect(onReady.mock.calls.length).toBeGreaterThan(3);
    expect(delaysMs.filter((delayMs) => delayMs < 100)).toEqual([0]);
    sideband.close();
  });

  test('reconnects after a loss, and ignores invalid and unrelated events meanwhile', async () => {
    const { url, attempts } = await serve((say, cut, hear, n) =>
      hear(() => {
        say({ no: 'type' });
        say({ type: 'session.updated' });
        if (n === 1) cut();
      }),
    );
    const { sideband, onReady } = attach(url);
    await until(() =>
      expect(onReady.mock.calls).toEqual([
        [true, true],
        [false, true],
      ]),
    );
    expect(attempts()).toBe(2);
    sideband.close();
  });

  test('reports the call as gone after three 404s, and stops reconnecting', async () => {
    const { url, attempts } = await serve(
      () => {},
      () => 404,
    );
    const { onGone } = attach(url);
    await until(() => expect(onGone).toHaveBeenCalledTimes(1));
    expect(attempts()).toBe(3);
  });

  // Failure pinned: three quick 404s about a call that the provider had just created counted as its end.
  test('keeps connecting to a new call until the provider stops answering 404', async () => {
    const { url, attempts } = await serve(
      (say, _cut, hear) => hear(() => say({ type: 'session.updated' })),
      (n) => (n <= 5 ? 404 : undefined),
    );
    const { sideband, onGone } = attach(url, { newCallMs: 60_000 });
    expect(await sideband.ready(4_000)).toBe('ready');
    expect([attempts(), onGone.mock.calls.length]).toEqual([6, 0]);
    sideband.close();
  });

  // Failure pinned: an update that the provider refused was repeated during the whole call, and the sideband never became ready.
  test('is ready after a refused update too: the call keeps its first configuration', async () => {
    const refusal = { type: 'invalid_request_error', code: 'cannot_update_voice', message: 'x', event_id: null };
    const { url } = await serve((say, _cut, hear) => hear(() => say({ type: 'error', error: refusal })));
    const { sideband, onReady } = attach(url);
    expect(await sideband.ready(2_000)).toBe('ready');
    expect(onReady).toHaveBeenCalledWith(true, false);
    sideband.close();
  });

  test('gives up a silent connection after attachMs and connects again', async () => {
    const { url, attempts } = await serve(() => {});
    const { sideband } = attach(url, { attachMs: 50 });
    await until(() => expect(attempts()).toBeGreaterThan(2));
    sideband.close();
  });

  test('does not reconnect after a hang-up', async () => {
    let cut = () => {};
    const { url, attempts } = await serve((say, cutNow, hear) => {
      cut = cutNow;
      hear(() => say({ type: 'session.updated' }));
    });
    const { sideband } = attach(url);
    await sideband.ready(2_000);
    sideband.expectEnd();
    cut();
    await until(() => expect(sideband.attached).toBe(false));
    expect(attempts()).toBe(1);
    expect(sideband.send({ type: 'x' })).toBe(false);
  });

  // Failure pinned: the provider refused an update that named the voice, and the sideband never became ready.
  test('the update contains neither the model nor the voice, which cannot change', () => {
    const session = {
      type: 'realtime',
      model: 'm',
      expires_at: 1,
      audio: { input: { a: 1 }, output: { voice: 'marin', speed: 1 } },
    };
    expect(updateOf(session)).toEqual({ type: 'realtime', audio: { input: { a: 1 }, output: { speed: 1 } } });
    expect(updateOf({})).toEqual({ type: 'realtime' });
  });
});
