import { type WorkerTraces, workerTraces } from '@greenroom/shared/protocol/worker-traces.ts';
import { expect, test } from 'vitest';
import { machineId, sessionId, tenantId } from '../testing.ts';
import { spansOf } from './worker-spans.ts';

const worker = { session_id: sessionId, tenant_id: tenantId, machine_id: machineId, epoch: 3 };
const span = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentSpanId: 'c'.repeat(16),
  name: 'provider create call',
  kind: 3,
  startTimeUnixNano: '1700000000123456789',
  endTimeUnixNano: '1700000001123456789',
  attributes: [
    { key: 'greenroom.call_id', value: { stringValue: 'rtc_1' } },
    { key: 'greenroom.ordinal', value: { intValue: 2 } },
    { key: 'greenroom.session_id', value: { stringValue: 'of another' } },
    { key: 'greenroom.sdp', value: { stringValue: 'v=0' } },
    { key: 'service.name', value: { stringValue: 'another' } },
  ],
  status: { code: 2, message: 'provider_unavailable' },
};
const report = (spans: object[]) => ({ resourceSpans: [{ resource: {}, scopeSpans: [{ scope: {}, spans }] }] });

test('whose spans they are comes from the token; unknown attributes are dropped', () => {
  expect(spansOf(workerTraces.parse(report([span])) as WorkerTraces, worker)).toEqual([
    {
      context: { traceId: span.traceId, spanId: span.spanId, sampled: true },
      ...{ parentSpanId: span.parentSpanId, name: span.name, kind: 'client', service: 'worker', links: [] },
      ...{ startMs: 1_700_000_000_123.456, endMs: 1_700_000_001_123.456, failure: 'provider_unavailable' },
      fields: { call_id: 'rtc_1', ordinal: 2, ...worker },
    },
  ]);
});

test.each([
  ['a name that is no name', { name: 'Ada Lovelace said: hello' }],
  ['a malformed id', { traceId: 'x' }],
  ['a time that is none', { startTimeUnixNano: '-1' }],
  ['many attributes', { attributes: Array.from({ length: 33 }, () => span.attributes[0]) }],
])('refuses %s', (_what, change) => {
  expect(workerTraces.safeParse(report([{ ...span, ...change }])).success).toBe(false);
});

test('refuses more spans than a worker sends', () => {
  expect(workerTraces.safeParse(report(Array.from({ length: 129 }, () => span))).success).toBe(false);
});
