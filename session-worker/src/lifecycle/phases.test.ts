import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createPhases } from './phases.ts';

function make() {
  const clock = createFakeClock();
  const phases = createPhases(clock);
  const sent: object[] = [];
  const send = (kind: 'ok' | 'failed') =>
    phases.carry(async (news) => {
      sent.push(news);
      return { kind };
    });
  return { clock, phases, sent, send };
}

test('a step is repeated with its age until an answer shows that it was stored', async () => {
  const { clock, phases, sent, send } = make();
  phases.note('socket');
  phases.edgeWaited(700);
  await clock.advance(1_000);
  await send('failed');
  await clock.advance(500);
  phases.note('offered');
  await send('ok');
  await send('ok');
  expect(sent).toEqual([
    { phases: { socket: 1_000, edge_wait: 700 } },
    { phases: { socket: 1_500, offered: 0, edge_wait: 700 } },
    {},
  ]);
});

test('only the first time of a step counts', async () => {
  const { clock, phases, sent, send } = make();
  phases.note('spoke');
  await clock.advance(2_000);
  phases.note('spoke');
  await send('ok');
  expect(sent).toEqual([{ phases: { spoke: 2_000 } }]);
});
