import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import type { AnsweredRequest } from '../database/request-store.ts';
import { createRequestLog, mostLines } from './request-log.ts';

/** What of a burst is stored, and what a database that is away costs. */
function world(record: (lines: AnsweredRequest[]) => Promise<void> = async () => undefined) {
  const stored: AnsweredRequest[][] = [];
  const warnings: object[] = [];
  const logger = { warn: (fields: object) => void warnings.push(fields) } as unknown as Logger;
  const log = createRequestLog({
    ...{ clock: createFakeClock(), logger },
    record: async (lines) => {
      await record(lines);
      stored.push(lines);
    },
  });
  const note = (tenantId: string, times = 1, elapsedTime = 1.6) => {
    for (let n = 0; n < times; n += 1)
      log.note(
        { tenantId, actor: 'key:a' },
        { id: `r${n}`, method: 'GET', routeOptions: { url: '/api/sessions/:id/recordings/:video' } } as never,
        { statusCode: 200, elapsedTime } as never,
      );
  };
  return { log, note, stored, warnings };
}

test('lines of one second are stored together, with the template of the path', async () => {
  const { log, note, stored } = world();
  note('a', 2);
  note('b');
  await log.flush();
  await log.flush();
  expect(stored.map((lines) => lines.length)).toEqual([3]);
  expect(stored[0]?.[2]).toMatchObject({
    ...{ tenant_id: 'b', path: '/api/sessions/{id}/recordings/{video}', status: 200, code: null, took_ms: 2 },
  });
});

test('a stream that lasted for months has a line that the database takes', async () => {
  const { log, note, stored } = world();
  note('a', 1, 10_000_000_000);
  await log.flush();
  expect(stored[0]?.[0]?.took_ms).toBe(2 ** 31 - 1);
});

test('a tenant that asks too much loses lines of its own and none of another', async () => {
  const { log, note, stored, warnings } = world();
  note('busy', mostLines.tenant + 7);
  note('calm');
  await log.flush();
  expect(stored[0]?.filter(({ tenant_id }) => tenant_id === 'busy')).toHaveLength(mostLines.tenant);
  expect(stored[0]?.at(-1)?.tenant_id).toBe('calm');
  expect(warnings).toEqual([{ count: 7 }]);
  note('busy');
  await log.flush();
  expect(stored[1]).toHaveLength(1);
});

test('lines that cannot be stored are dropped and counted, and the next ones are stored', async () => {
  let away = true;
  const { log, note, stored, warnings } = world(async () => {
    if (away) throw new Error('away');
  });
  note('a', 3);
  await log.flush();
  away = false;
  note('a');
  await log.flush();
  expect(warnings).toMatchObject([{ count: 3 }]);
  expect(stored.map((lines) => lines.length)).toEqual([1]);
});
