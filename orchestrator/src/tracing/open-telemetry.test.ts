import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type OtlpReceiver, startOtlpReceiver } from '../../../test/support/otlp-receiver.ts';
import { createRecorder } from './open-telemetry.ts';
import type { Recorder, TracingConfig } from './recorder.ts';

const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true };

describe('the recorder', () => {
  let receiver: OtlpReceiver;
  beforeAll(async () => {
    receiver = await startOtlpReceiver();
  });
  afterAll(() => receiver.stop());
  beforeEach(() => {
    receiver.mood = 'well';
    receiver.spans = [];
    receiver.requests = 0;
  });

  const lines: Array<Record<string, unknown>> = [];
  const logger = createLogger({
    component: 'test',
    destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const make = (changes: Partial<TracingConfig> = {}): Recorder =>
    createRecorder({
      ...{ url: `${receiver.url}/v1/traces`, headers: { 'x-key': 'k' }, serviceName: 'mine' },
      ...{ sampler: 'parentbased_always_on', samplerArg: 1 },
      ...{ version: '1', deploymentId: 'test', orchestratorId: 'o1', logger },
      ...changes,
    });

  test('exports spans with listed fields only, under conventional names where there are some', async () => {
    const recorder = make();
    const secret = { authorization: 'Bearer very-secret', region: 'fra', took_ms: 12, path: '/api/sessions' };
    const span = recorder.start('outer', { kind: 'server', parent, startMs: 5_000, fields: secret });
    span.set({ status_code: 201, reason: 'x'.repeat(10_000) });
    span.fail('TypeError');
    span.end();
    await recorder.close(10_000);
    expect(receiver.spans).toEqual([
      {
        ...{ traceId: parent.traceId, parentSpanId: parent.spanId, spanId: span.context.spanId },
        ...{ name: 'outer', service: 'mine', kind: 2, failure: 'TypeError', links: [], startMs: 5_000 },
        endMs: expect.any(Number),
        attributes: {
          'http.route': '/api/sessions',
          'http.response.status_code': 201,
          'greenroom.region': 'fra',
          'greenroom.took_ms': 12,
          'greenroom.reason': 'x'.repeat(256),
        },
      },
    ]);
    expect(JSON.stringify(receiver.spans)).not.toContain('very-secret');
    expect(receiver.headers['x-key']).toBe('k');
  });

  test('the sampler decides for new traces; a parent decides for its own unless the sampler is not parent-based', () => {
    const sampled = (sampler: TracingConfig['sampler'], from?: typeof parent) =>
      make({ sampler, samplerArg: 0 }).start('x', { parent: from }).context.sampled;
    expect(sampled('parentbased_always_on')).toBe(true);
    expect(sampled('parentbased_always_on', { ...parent, sampled: false })).toBe(false);
    expect(sampled('always_on', { ...parent, sampled: false })).toBe(true);
    expect(sampled('always_off', parent)).toBe(false);
    expect(sampled('parentbased_traceidratio')).toBe(false);
    expect(sampled('parentbased_traceidratio', parent)).toBe(true);
  });

  test('spans beyond the queue are dropped while the receiver hangs, and closing does not wait for it', async () => {
    receiver.mood = 'hangs';
    const recorder = make();
    for (let n = 0; n < 20_000; n += 1) recorder.start('many', { parent }).end();
    await recorder.close(100);
    await vi.waitFor(() => expect(receiver.requests).toBeGreaterThan(0), { timeout: 30_000 });
    // One batch of 512 was on its way, 2,048 spans waited; each request has at most 512.
    expect(receiver.requests).toBeLessThanOrEqual(6);
  });

  test('a failure is logged once, and so is the first success after it', async () => {
    lines.length = 0;
    receiver.mood = 503;
    const recorder = make({ url: 'http://127.0.0.1:9/v1/traces' });
    for (let n = 0; n < 1_500; n += 1) recorder.start('lost', { parent }).end();
    await recorder.close(30_000);
    expect(lines.map(({ msg }) => msg)).toEqual(['could not export traces; spans are lost until this works again']);
    const { level, count } = lines[0] as { level: string; count: number };
    expect(level).toBe('warn');
    // A batch that was full, or one that the timer closed before.
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(512);
  });
});
