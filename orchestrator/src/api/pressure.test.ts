import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerPressure, vital } from '../access/pressure.ts';
import { registerErrors } from './problems.ts';

let app: FastifyInstance;
beforeEach(async () => {
  app = Fastify();
  registerErrors(app, createLogger({ level: 'silent', component: 'test' }));
  await registerPressure(app, 100);
  app.get('/api/sessions', async () => 'served');
  app.get('/worker/v1/heartbeat', { config: vital }, async () => 'served');
  await app.ready();
});
afterEach(() => app.close());

const hold = (ms: number): void => {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
};
const statusOf = async (url: string) => (await app.inject(url)).statusCode;

/** Blocks the event loop again and again until requests are refused. */
async function untilShed(): Promise<void> {
  for (let n = 0; n < 100 && (await statusOf('/api/sessions')) !== 503; n += 1) {
    hold(200);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('an overloaded process refuses the platform API and still answers workers', async () => {
  expect(await statusOf('/api/sessions')).toBe(200);
  await untilShed();
  const shed = await app.inject('/api/sessions');
  expect([shed.statusCode, shed.json().code, shed.headers['retry-after']]).toEqual([503, 'overloaded', '2']);
  expect(await statusOf('/worker/v1/heartbeat')).toBe(200);
});

test('when the load has passed, it serves all requests again', { timeout: 20_000 }, async () => {
  await untilShed();
  await expect.poll(() => statusOf('/api/sessions'), { timeout: 60_000 }).toBe(200);
});

test('no request is refused because the event loop was held before the app was ready', async () => {
  const slow = Fastify();
  registerErrors(slow, createLogger({ level: 'silent', component: 'test' }));
  await registerPressure(slow, 100);
  slow.get('/api/sessions', async () => 'served');
  // The loop comes round between the two holds, so that there is a measure.
  hold(700);
  await new Promise((resolve) => setTimeout(resolve, 20));
  hold(400);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await slow.ready();
  const { statusCode } = await slow.inject('/api/sessions');
  await slow.close();
  expect(statusCode).toBe(200);
});

test('seconds in which the event loop hardly comes round do not count as more than they were', async () => {
  const patient = Fastify();
  registerErrors(patient, createLogger({ level: 'silent', component: 'test' }));
  await registerPressure(patient, 60_000);
  patient.get('/api/sessions', async () => 'served');
  await patient.ready();
  const statuses: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    hold(1_100);
    await new Promise((resolve) => setTimeout(resolve, 1));
    statuses.push((await patient.inject('/api/sessions')).statusCode);
  }
  await patient.close();
  expect(statuses).toEqual([200, 200, 200, 200, 200]);
});
