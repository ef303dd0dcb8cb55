import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { afterEach, expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { type Served, type ServeOptions, serveWorker } from '../test/serve.ts';

/** The worker of a hot machine between scripted peers: it waits, is assigned and serves. */
let served: Served;
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 30_000, interval: 5 });

/** Peers whose machine has no session until `assign`. Held claims are answered then. */
async function serveHot(practise?: ServeOptions['practise']) {
  let assigned = false;
  const held = new Set<() => void>();
  const claims: boolean[] = [];
  served = await serveWorker({
    ...(practise ? { practise } : {}),
    prepare: (peers) =>
      peers.bend('POST /worker/v1/claim', async ({ body }) => {
        const hold = (body as { hold?: boolean }).hold === true;
        claims.push(hold);
        if (assigned) return { status: 200, body: peers.claim };
        if (hold) await new Promise<void>((resolve) => held.add(resolve));
        return { status: 202, body: { hold_ms: 5_000 } };
      }),
  });
  return {
    ...served,
    claims,
    held,
    /** @param tell whether the held claims are answered */
    assign: (tell: boolean) => {
      assigned = true;
      if (tell) for (const answer of held) answer();
    },
  };
}

test('a hot worker registers, waits with a held claim, and serves when it is told', async () => {
  const { claims, held, assign, worker } = await serveHot();
  await until(() => held.size === 1);
  expect([claims, worker.ready]).toEqual([[false, true], false]);
  assign(true);
  await until(() => worker.ready);
  expect(claims).toHaveLength(3);
});

test('the first socket makes a hot worker claim at once, without being told, and is admitted', async () => {
  const { held, assign, port, peers } = await serveHot();
  await until(() => held.size === 1);
  assign(false);
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  expect(await candidate.receives('session_ready')).toMatchObject({ epoch: 1 });
});

test('two sockets that arrive at the same time cause one claim, and the later one is served', async () => {
  const { claims, held, assign, port, peers } = await serveHot();
  await until(() => held.size === 1);
  assign(false);
  const sockets = await Promise.all([connectCandidate(port, peers), connectCandidate(port, peers)]);
  for (const socket of sockets) socket.say({ type: 'init_session' });
  await Promise.any(sockets.map((socket) => socket.receives('session_ready')));
  expect(claims).toHaveLength(3);
});

test('when it is asked to stop, a hot worker claims once more and exits if it still has no session', async () => {
  const { claims, held, worker, exited } = await serveHot();
  await until(() => held.size === 1);
  worker.terminate();
  expect(await exited).toBe(0);
  expect(claims.slice(0, 3)).toEqual([false, true, false]);
});

test('a hot worker that is asked to stop hands over the session that it has just got', async () => {
  const { held, assign, worker, exited, peers } = await serveHot();
  await until(() => held.size === 1);
  assign(false);
  worker.terminate();
  expect(await exited).toBe(0);
  expect(peers.askedFor('POST /worker/v1/finish').map(({ body }) => body)).toMatchObject([{ kind: 'draining' }]);
});

test('a hot worker practises while it waits, and its peers see nothing but its claims', async () => {
  const { held, peers, logged } = await serveHot();
  await until(() => held.size === 1 && logged().includes('"practised"'));
  expect([...new Set(peers.asked.map(({ method, path }) => `${method} ${path}`))]).toEqual(['POST /worker/v1/claim']);
});

test('the practice stops when the session comes', async () => {
  let stopped = false;
  const { held, assign, worker, logged } = await serveHot(
    (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          stopped = true;
          reject(signal.reason);
        }),
      ),
  );
  await until(() => held.size === 1);
  expect(stopped).toBe(false);
  assign(true);
  await until(() => worker.ready);
  expect([stopped, logged().includes('the practice failed')]).toEqual([true, false]);
});

test('the practice stops at the first socket, and at a request to stop', async () => {
  const stops: string[] = [];
  for (const what of ['socket', 'stop']) {
    const { held, assign, port, peers, worker, exited } = await serveHot(
      (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(void stops.push(what)))),
    );
    await until(() => held.size === 1);
    if (what === 'stop') worker.terminate();
    else {
      assign(false);
      await connectCandidate(port, peers);
    }
    expect(stops).toContain(what);
    if (what === 'stop') expect(await exited).toBe(0);
    else await served.close();
  }
});

test('a practice that fails is logged, and the worker serves all the same', async () => {
  const { held, assign, worker, logged } = await serveHot(async () => {
    throw new Error('not today');
  });
  await until(() => held.size === 1 && logged().includes('the practice failed'));
  assign(true);
  await until(() => worker.ready);
});

test('a claimed worker practises when no candidate comes, once, and its peers see nothing of it', async () => {
  served = await serveWorker();
  await until(() => served.logged().includes('"practised"'));
  const paths = served.peers.asked.map(({ path }) => path);
  expect(paths.filter((path) => path !== '/worker/v1/heartbeat')).toEqual(['/worker/v1/claim']);
  const candidate = await connectCandidate(served.port, served.peers);
  candidate.say({ type: 'init_session' });
  expect(await candidate.receives('session_ready')).toMatchObject({ epoch: 1 });
  expect(served.logged().match(/"practised"/g)).toHaveLength(1);
});

test('a claimed worker stops practising when the candidate comes, and at a request to stop', async () => {
  for (const what of ['candidate', 'stop']) {
    let practice: AbortSignal | undefined;
    served = await serveWorker({
      practise: (signal) => {
        practice = signal;
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    });
    await until(() => practice);
    expect(practice?.aborted).toBe(false);
    if (what === 'candidate') await connectCandidate(served.port, served.peers);
    else served.worker.terminate();
    expect(practice?.aborted).toBe(true);
    if (what === 'stop') expect(await served.exited).toBe(0);
    expect(served.logged()).not.toContain('the practice failed');
    if (what === 'candidate') await served.close();
  }
});

test('a claimed worker whose candidate is there already does not practise', async () => {
  const practise = vi.fn(async () => undefined);
  let waited: AbortSignal | undefined;
  const sleep = (_ms: number, signal?: AbortSignal) => {
    waited = signal;
    return new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  };
  served = await serveWorker({ clock: { ...systemClock, sleep }, practise });
  await until(() => waited);
  await connectCandidate(served.port, served.peers);
  expect(waited?.aborted).toBe(true);
  expect(practise).not.toHaveBeenCalled();
});
