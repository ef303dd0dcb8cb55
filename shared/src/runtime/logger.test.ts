import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';

function listening() {
  const lines: Array<Record<string, unknown>> = [];
  const logger = createLogger({
    component: 'test',
    level: 'debug',
    destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return { logger, lines };
}

test('a field that is not listed is refused by the compiler and never written', () => {
  const { logger, lines } = listening();
  const suspicion = { reason: 'worker_lost', sessionReason: 'worker_lost' };
  // @ts-expect-error written out
  logger.info({ session_id: 's', sdp: 'v=0' }, 'written out');
  // @ts-expect-error spread
  logger.info({ session_id: 's', ...suspicion }, 'spread');
  // @ts-expect-error in a variable
  logger.info(suspicion, 'in a variable');
  // @ts-expect-error in the fields of a child
  logger.child(suspicion).info({}, 'in the fields of a child');
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(Object.keys(line)).not.toContain('sessionReason');
  expect(JSON.stringify(lines)).not.toContain('v=0');
});

test('writes listed fields and the loggable parts of an error', () => {
  const { logger, lines } = listening();
  const error = Object.assign(new Error('refused'), {
    code: 'ECONNREFUSED',
    headers: { authorization: 'Bearer secret' },
  });
  logger.child({ machine_id: 'm' }).warn({ session_reason: 'worker_lost', attempts: 2, error }, 'machine gone');
  expect(lines[0]).toMatchObject({
    ...{ level: 'warn', component: 'test', machine_id: 'm', session_reason: 'worker_lost', attempts: 2 },
    ...{ msg: 'machine gone', error: { name: 'Error', message: 'refused', code: 'ECONNREFUSED' } },
  });
  expect(JSON.stringify(lines)).not.toContain('secret');
});
