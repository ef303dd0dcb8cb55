import { formatTraceparent, newTraceContext, parseTraceparent } from '@greenroom/shared/runtime/trace-context.ts';
import { TraceFlags } from '@opentelemetry/api';
import { parseTraceParent as parsedByLibrary } from '@opentelemetry/core';
import { expect, test } from 'vitest';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';

test.each([
  `00-${traceId}-${spanId}-01`,
  `00-${traceId}-${spanId}-00`,
  `00-${traceId}-${spanId}-ff`,
  `01-${traceId}-${spanId}-01-what-a-later-version-adds`,
  `00-${traceId}-${spanId}-01-more`,
  `ff-${traceId}-${spanId}-01`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${traceId}-${spanId}-1`,
  `00-${traceId}-${spanId}`,
  `00-${traceId.slice(1)}-${spanId}-01`,
  `00-${traceId}-${spanId}-01\r\nx: y`,
  `${'0'.repeat(100_000)}`,
  'garbage',
  '',
])('reads %j as OpenTelemetry’s own parser does', (header) => {
  const expected = parsedByLibrary(header);
  expect(parseTraceparent(header)).toEqual(
    expected
      ? {
          traceId: expected.traceId,
          spanId: expected.spanId,
          sampled: (expected.traceFlags & TraceFlags.SAMPLED) !== 0,
        }
      : undefined,
  );
});

test('a new context is valid, not sampled and different each time, and survives being written and read', () => {
  const [one, other] = [newTraceContext(), newTraceContext()];
  expect(parseTraceparent(formatTraceparent(one))).toEqual(one);
  expect(one.sampled).toBe(false);
  expect(one.traceId).not.toBe(other.traceId);
  expect(parseTraceparent(formatTraceparent({ ...one, sampled: true }))).toEqual({ ...one, sampled: true });
});
