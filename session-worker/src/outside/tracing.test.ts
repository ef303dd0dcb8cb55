import { workerTraces } from '@greenroom/shared/protocol/worker-traces.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import { createTracing } from './tracing.ts';

const traceId = 'a'.repeat(32);
const traceparent = `00-${traceId}-${'b'.repeat(16)}-01`;

function start({ status = 204, given = undefined as string | undefined } = {}) {
  const clock = createFakeClock();
  const bodies: string[] = [];
  const lines: string[] = [];
  const tracing = createTracing({
    ...{ clock, traceparent: given },
    send: async (body) => {
      bodies.push(body);
      return status;
    },
    log: createLogger({ component: 'test', destination: { write: (line: string) => lines.push(line) } }),
  });
  const spans = () =>
    bodies.flatMap((body) =>
      workerTraces
        .parse(JSON.parse(body))
        .resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans: some }) => some)),
    );
  return { clock, tracing, bodies, spans, lines };
}

test('the trace is that of the environment until the claim’s answer names another', () => {
  const { tracing } = start({ given: traceparent.replaceAll('a', 'c') });
  expect(tracing.fields()).toEqual({ trace_id: 'c'.repeat(32) });
  tracing.join({ trace: { traceparent, wanted: false } });
  expect(tracing.fields()).toEqual({ trace_id: traceId });
  expect(tracing.traceparent()).toBe(traceparent);
});

test('without a trace there is neither a field nor a header, and work is only done', async () => {
  const { tracing, bodies } = start({ given: 'garbage' });
  tracing.join({});
  expect(tracing.fields()).toEqual({});
  expect(tracing.traceparent()).toBeUndefined();
  expect(await tracing.measure('x', async () => 7)).toBe(7);
  await tracing.close(1_000);
  expect(bodies).toEqual([]);
});

test('spans that are not wanted are neither kept nor sent', async () => {
  const { tracing, bodies } = start({ given: traceparent });
  tracing.record({ name: 'boot worker', startMs: 0, endMs: 1 });
  tracing.join({ trace: { traceparent, wanted: false } });
  tracing.record({ name: 'teardown', startMs: 0, endMs: 1 });
  await tracing.close(1_000);
  expect(bodies).toEqual([]);
});

test('spans from before and after the claim are sent on the orchestrator’s clock, children of the session’s span', async () => {
  const { clock, tracing, spans } = start();
  const bootMs = clock.now();
  tracing.record({ name: 'boot worker', startMs: bootMs - 300, endMs: bootMs });
  tracing.record({ name: 'boot worker', startMs: bootMs - 900_000, endMs: bootMs - 800_000 });
  // This machine's clock is an hour slow.
  tracing.join({ trace: { traceparent, wanted: true }, now: bootMs + 3_600_000 });
  await tracing.measure(
    'claim',
    async () => 1,
    () => ({ fields: { ordinal: 2 }, failure: 'fenced' }),
  );
  await expect(tracing.measure('finish', () => Promise.reject(new TypeError('secret')))).rejects.toThrow();
  await tracing.close(60_000);
  const nano = (ms: number) => BigInt(ms) * 1_000_000n;
  expect(spans().map(({ name }) => name)).toEqual(['boot worker', 'claim', 'finish']);
  for (const span of spans()) expect(span).toMatchObject({ traceId, parentSpanId: 'b'.repeat(16) });
  const [boot, claim, finish] = spans();
  expect(BigInt(boot?.startTimeUnixNano ?? 0)).toBe(nano(bootMs + 3_600_000 - 300));
  expect(claim).toMatchObject({ kind: 3, status: { code: 2, message: 'fenced' } });
  expect(claim?.attributes).toEqual([{ key: 'greenroom.ordinal', value: { intValue: 2 } }]);
  expect(finish?.status).toMatchObject({ message: 'TypeError' });
  expect(JSON.stringify(spans())).not.toContain('secret');
});

test('an orchestrator that refuses costs spans only, and is logged once', async () => {
  const { tracing, bodies, lines } = start({ status: 503 });
  tracing.join({ trace: { traceparent, wanted: true } });
  for (let n = 0; n < 5_000; n += 1) tracing.record({ name: 'many', startMs: 0, endMs: 1 });
  await tracing.close(60_000);
  // 512 spans were kept, 64 go into one request.
  expect(bodies).toHaveLength(8);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('could not send traces to the orchestrator');
});

test('closing ends after its limit although the orchestrator does not answer', async () => {
  const clock = createFakeClock();
  const tracing = createTracing({
    ...{ clock, traceparent: undefined, log: createLogger({ component: 'test', level: 'silent' }) },
    send: () => new Promise(() => undefined),
  });
  tracing.join({ trace: { traceparent, wanted: true } });
  tracing.record({ name: 'teardown', startMs: 0, endMs: 1 });
  const closed = tracing.close(2_000);
  await clock.advance(2_000);
  await closed;
});
