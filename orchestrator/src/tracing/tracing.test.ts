import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { formatTraceparent } from '@greenroom/shared/runtime/trace-context.ts';
import { expect, test } from 'vitest';
import { machineId, makeIntent, sessionId, tenantId } from '../testing.ts';
import type { FinishedSpan, Recorder, SpanStart } from './recorder.ts';
import { createScopes } from './scopes.ts';
import { createTracing } from './tracing.ts';

const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true };
const traceparent = formatTraceparent(context);

function start({ recording = true } = {}) {
  const scopes = createScopes();
  const spans: Array<SpanStart & { name: string; failure?: string; ended?: boolean }> = [];
  const added: FinishedSpan[] = [];
  const recorder: Recorder = {
    start: (name, options) => {
      const span: (typeof spans)[number] = { name, ...options };
      spans.push(span);
      return {
        context: { ...context, spanId: String(spans.length).padStart(16, 'c') },
        set: (fields) => Object.assign(span, { fields: { ...span.fields, ...fields } }),
        fail: (why) => Object.assign(span, { failure: why }),
        end: () => Object.assign(span, { ended: true }),
      };
    },
    add: (span) => added.push(span),
    close: async () => undefined,
  };
  const lines: Array<Record<string, unknown>> = [];
  const logger = createLogger({
    component: 'test',
    context: scopes.fields,
    destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const tracing = createTracing({ scopes, recorder: recording ? recorder : undefined, clock: { now: () => 1_000 } });
  return { tracing, spans, added, logger, lines };
}
const intent = makeIntent({ traceparent });

test('spans are nested, have the ids of their work, and end when it fails, with the name of the error only', async () => {
  const { tracing, spans } = start();
  const work = tracing.forSession(intent, () =>
    tracing.span('outer', { fields: { region: 'fra' } }, () =>
      tracing.span('inner', {}, async () => {
        throw new TypeError('about Ada Lovelace');
      }),
    ),
  );
  await expect(work).rejects.toThrow(TypeError);
  const ids = { session_id: sessionId, tenant_id: tenantId, machine_id: machineId };
  expect(spans).toMatchObject([
    { name: 'outer', parent: context, fields: { ...ids, region: 'fra' }, failure: 'TypeError', ended: true },
    { name: 'inner', parent: { spanId: '1'.padStart(16, 'c') }, fields: ids, failure: 'TypeError', ended: true },
  ]);
  expect(JSON.stringify(spans)).not.toContain('Ada');
});

test('work outside of any trace, and in one that is not sampled, makes no span', async () => {
  const { tracing, spans } = start();
  expect(await tracing.span('poll', {}, async () => 1)).toBe(1);
  const unsampled = makeIntent({ traceparent: formatTraceparent({ ...context, sampled: false }) });
  expect(await tracing.forSession(unsampled, () => tracing.span('create', {}, async () => 2))).toBe(2);
  expect(spans).toEqual([]);
});

test('log lines have the ids of their work, with and without a recorder; a line’s own fields win', async () => {
  for (const recording of [true, false]) {
    const { tracing, logger, lines } = start({ recording });
    logger.info({}, 'outside');
    await tracing.forSession(intent, async () => {
      await Promise.resolve();
      logger.info({ machine_id: 'another' }, 'inside');
      tracing.know({ request_id: 'r1' });
      logger.info({}, 'later');
    });
    logger.info({}, 'outside again');
    const ids = { session_id: sessionId, tenant_id: tenantId, trace_id: context.traceId };
    expect(lines[0]).not.toHaveProperty('trace_id');
    expect(lines[1]).toMatchObject({ ...ids, machine_id: 'another' });
    expect(lines[2]).toMatchObject({ ...ids, machine_id: machineId, request_id: 'r1' });
    expect(lines[3]).not.toHaveProperty('session_id');
  }
});

test('a session that begins later is the root of its own trace, once, linked to its creation', () => {
  const { tracing, added } = start();
  const creation = { traceId: 'd'.repeat(32), spanId: 'e'.repeat(16), sampled: true };
  const later = makeIntent({ traceparent, creation_traceparent: formatTraceparent(creation) });
  tracing.begins(later);
  tracing.begins({ ...later, attempt: 2 });
  tracing.begins(intent);
  expect(added).toMatchObject([{ context, parentSpanId: undefined, links: [creation], startMs: 1_000 }]);
});
