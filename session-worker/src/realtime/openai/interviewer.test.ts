import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import { functionCall, reply } from '../../../test/conversation.ts';
import type { ProviderEvent } from './events.ts';
import { createInterviewer } from './interviewer.ts';

const log = silentLogger();

describe('the interviewer', () => {
  const setUp = () => {
    const clock = createFakeClock();
    const said: Array<Record<string, unknown>> = [];
    const onFinished = vi.fn();
    const onFailed = vi.fn();
    const deaf = { now: false };
    const interviewer = createInterviewer({
      clock,
      log,
      send: (event) => {
        if (deaf.now) return false;
        said.push(event);
        return true;
      },
      goodbyeMs: 30_000,
      onFinished,
      onFailed,
    });
    const hear = (events: Array<Record<string, unknown>>) => {
      for (const event of events) interviewer.event(event as ProviderEvent);
    };
    return { clock, said, onFinished, onFailed, interviewer, hear, deaf };
  };

  test('the goodbye cannot be asked for just now: it is asked for when the sideband is back', () => {
    const { said, interviewer, hear, deaf } = setUp();
    deaf.now = true;
    hear(functionCall('f1', null));
    expect(said).toEqual([]);
    deaf.now = false;
    interviewer.resumed();
    expect(said.map((event) => event.type)).toEqual(['conversation.item.create', 'response.create']);
  });

  test('nothing happens after a gap: it is asked to go on, once; a conversation that goes on is left alone', async () => {
    const { clock, said, interviewer, hear } = setUp();
    interviewer.resumed();
    hear([{ type: 'session.updated', session: {} }]);
    hear(reply('a1', null, 'Well.').slice(0, 1));
    await clock.advance(60_000);
    expect(said).toEqual([]);
    interviewer.resumed();
    hear([{ type: 'session.updated', session: {} }]);
    await clock.advance(10_000);
    hear(reply('a2', 'a1', 'Go on.'));
    await clock.advance(60_000);
    expect(said.map((event) => event.type)).toEqual(['conversation.item.create', 'response.create']);
    expect(said[0]).toMatchObject({ item: { role: 'system' } });
  });

  test('it ends by its tool: the goodbye is asked for once, heard to the end, and then it is over', () => {
    const { said, onFinished, hear } = setUp();
    hear(functionCall('f1', null));
    hear(functionCall('f1', null));
    expect(said.map((event) => event.type)).toEqual(['conversation.item.create', 'response.create']);
    expect(said[0]).toMatchObject({ item: { type: 'function_call_output', call_id: 'call_f1' } });
    const goodbye = reply('a1', 'f1', 'Goodbye.');
    hear(goodbye.slice(0, -1));
    expect(onFinished).not.toHaveBeenCalled();
    hear(goodbye.slice(-1));
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  test('a model that says goodbye and calls the tool in one response is not asked again', () => {
    const { said, onFinished, hear } = setUp();
    const [, , , toolDone] = functionCall('f1', 'a1', 'r1');
    hear(reply('a1', null, 'Goodbye.', 'r1').slice(0, 5));
    hear([toolDone as Record<string, unknown>]);
    const output = [
      { id: 'a1', type: 'message' },
      { id: 'f1', type: 'function_call' },
    ];
    hear([{ type: 'response.done', response: { id: 'r1', status: 'completed', output } }]);
    expect(said).toEqual([]);
    hear([{ type: 'output_audio_buffer.stopped', response_id: 'r1' }]);
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  test('a goodbye that never comes does not keep the session; another tool ends nothing', async () => {
    const { clock, onFinished, hear } = setUp();
    hear([
      {
        type: 'response.output_item.done',
        response_id: 'r',
        item: { type: 'function_call', name: 'look_up', call_id: 'c' },
      },
    ]);
    await clock.advance(100_000);
    expect(onFinished).not.toHaveBeenCalled();
    hear(functionCall('f1', null));
    await clock.advance(30_000);
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  test('a goodbye spoken over by the candidate counts as said', () => {
    const { onFinished, hear } = setUp();
    hear(functionCall('f1', null));
    hear(reply('a1', 'f1', 'Goodbye.').slice(0, 5));
    hear([{ type: 'output_audio_buffer.cleared', response_id: 'resp_a1' }]);
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  // Failure pinned: the model's tool call was cut off by the candidate, or by a limit, and ended the interview all the same.
  test.each([
    ['by its status', { status: 'incomplete', arguments: '{}' }],
    ['in its arguments', { status: 'completed', arguments: '{"rea' }],
  ])('a tool call that was cut off (%s) is no decision: the interview goes on', async (_what, cut) => {
    const { clock, said, onFinished, hear } = setUp();
    const item = { id: 'f1', type: 'function_call', name: 'end_session', call_id: 'c1', ...cut };
    hear([
      { type: 'input_audio_buffer.committed', item_id: 'c1', previous_item_id: null },
      { type: 'response.created', response: { id: 'r1', status: 'in_progress', output: [] } },
      { type: 'response.output_item.done', response_id: 'r1', item },
      {
        type: 'response.done',
        response: { id: 'r1', status: 'incomplete', status_details: { reason: 'max_output_tokens' }, output: [item] },
      },
    ]);
    await clock.advance(5_000);
    expect(said.map((event) => event.type)).toEqual(['response.create']);
    await clock.advance(100_000);
    expect(onFinished).not.toHaveBeenCalled();
  });

  // Failure pinned: a goodbye that failed was waited for in silence for half a minute.
  test('a goodbye that failed is asked for again, and the tool is answered once', async () => {
    const { clock, said, onFinished, hear } = setUp();
    hear(functionCall('f1', null));
    hear([
      { type: 'response.created', response: { id: 'g1', status: 'in_progress', output: [] } },
      { type: 'response.done', response: { id: 'g1', status: 'failed', status_details: {}, output: [] } },
    ]);
    await clock.advance(2_000);
    expect(said.map((event) => event.type)).toEqual(['conversation.item.create', 'response.create', 'response.create']);
    hear(reply('a2', 'f1', 'Goodbye.'));
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  test('a goodbye that cannot be had at all: the interview is finished, not failed', async () => {
    const { onFinished, onFailed, hear } = setUp();
    hear(functionCall('f1', null));
    hear([
      { type: 'response.created', response: { id: 'g1', status: 'in_progress', output: [] } },
      {
        type: 'response.done',
        response: { id: 'g1', status: 'failed', status_details: { error: { code: 'insufficient_quota' } }, output: [] },
      },
    ]);
    expect([onFinished.mock.calls.length, onFailed.mock.calls.length]).toEqual([1, 0]);
  });
});
