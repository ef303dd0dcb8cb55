import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { type Check, healthRoutes } from './health.ts';

async function start(run: Check['run'], { keys = true, stopping = false } = {}) {
  const clock = createFakeClock();
  const app = Fastify();
  await app.register(
    healthRoutes({
      own: [{ name: 'keys', isThere: () => keys }],
      checks: [{ name: 'fly', freshMs: 15_000, run }],
      clock,
      isStopping: () => stopping,
    }),
  );
  const readyz = async () => {
    const answer = await app.inject('/readyz');
    return { code: answer.statusCode, ...answer.json() };
  };
  return { clock, readyz };
}

test('a dependency that is away is named, and takes no orchestrator out of routing', async () => {
  const { readyz } = await start(async () => {
    throw new Error('away');
  });
  await readyz();
  expect(await readyz()).toMatchObject({
    code: 200,
    status: 'ready',
    failed: [],
    degraded: ['fly'],
    checks: { fly: false },
  });
});

test('a dependency that hangs delays a probe by no more than a quarter of a second', async () => {
  const { clock, readyz } = await start(() => new Promise(() => undefined));
  const answer = readyz();
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(250);
  expect(await answer).toMatchObject({ code: 200, status: 'ready', degraded: [], checks: { fly: null } });
});

test('a recovery is seen half a second later, a good finding is kept for its time', async () => {
  let ok = false;
  let asked = 0;
  const { clock, readyz } = await start(async () => {
    asked += 1;
    return ok;
  });
  await readyz();
  ok = true;
  await clock.advance(500);
  expect(await readyz()).toMatchObject({ degraded: [], checks: { fly: true } });
  await clock.advance(14_000);
  await readyz();
  expect(asked).toBe(2);
});

test.each([
  ['without its keys', { keys: false }, 'keys'],
  ['that is asked to stop', { stopping: true }, 'shutting_down'],
])('an orchestrator %s is not ready', async (_what, state, name) => {
  const { readyz } = await start(async () => true, state);
  expect(await readyz()).toMatchObject({ code: 503, status: 'not_ready', failed: [name] });
});
