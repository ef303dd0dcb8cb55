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
    const away = { now: false };
    const interviewer = createInterviewer({
      clock,
      log,
      send: (event) => {
        if (deaf.now) return false;
        said.push(event);
        return true;
      },
      goodbyeMs: 30_000,
      mayFinish: () => !away.now,
      onFinished,
      onFailed,
    });
    const hear = (events: Array<Record<string, unknown>>) => {
      for (const event of events) interviewer.event(event as ProviderEvent);
    };
    return { clock, said, onFinished, onFailed, interviewer, hear, deaf, away };
  };

  test('may not end the interview while the candidate is away, and is asked to continue when the candidate is back and silent', async () => {
    const { clock, said, onFinished, interviewer, hear, away } = setUp();
    away.now = true;
    hear(functionCall('f1', null));
    expect(said).toMatchObject([{ item: { type: 'function_call_output', call_id: 'call_f1' } }]);
    expect(JSON.stringify(said)).toContain('"ok\\":false');
    await clock.advance(60_000);
    expect([said.length, onFinished.mock.calls.length]).toEqual([1, 0]);
    away.now = false;
    interviewer.returned();
    await clock.advance(10_000);
    expect(said.slice(1).map(({ type }) => type)).toEqual(['conversation.item.create', 'response.create']);
    hear(reply('a1', 'f1', 'Where were we?'));
    interviewer.returned();
    await clock.advance(60_000);
    expect(said).toHaveLength(3);
    hear(functionCall('f2', 'a1'));
    expect(said.at(-1)).toMatchObject({ type: 'response.create' });
    expect(interviewer.tell({}, true)).toBe(false);
  });

  test('requests the goodbye when the sideband is back, if it was away before', () => {
    const { said, interviewer, hear, deaf } = setUp();
    deaf.now = true;
    hear(functionCall('f1', null));
    expect(said).toEqual([]);
    deaf.now = false;
    interviewer.resumed();
    expect(said.map((event) => event.type)).toEqual(['conversation.item.create', 'response.create']);
  });

  test('asks the interviewer once to continue when nothing happens after a gap, and not when the conversation continues', async () => {
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

  test('after the tool call the goodbye is requested once, played to its end, and the interview is finished', () => {
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

  test('a model that says goodbye and calls the tool in one response is not asked for another goodbye', () => {
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

  test('a missing goodbye does not block the ending; another tool does not end the interview', async () => {
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

  test('a goodbye that the candidate interrupts counts as said', () => {
    const { onFinished, hear } = setUp();
    hear(functionCall('f1', null));
    hear(reply('a1', 'f1', 'Goodbye.').slice(0, 5));
    hear([{ type: 'output_audio_buffer.cleared', response_id: 'resp_a1' }]);
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  // Failure pinned: a tool call that the candidate or a limit had cut off ended the interview.
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

  // Failure pinned: after a failed goodbye there was silence for half a minute.
  test('requests a failed goodbye again, and answers the tool call once', async () => {
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

  // Failure pinned: half a minute of silence, and no goodbye.
  test('asks for the goodbye again when the model, answering what was typed at the last moment, calls the tool again', () => {
    const { said, onFinished, interviewer, hear } = setUp();
    expect(interviewer.tell({ type: 'message' }, true)).toBe(true);
    hear(functionCall('f1', null));
    hear(functionCall('f2', 'f1'));
    const results = said.map(({ item }) => (item as { call_id?: string } | undefined)?.call_id).filter(Boolean);
    expect([results, onFinished.mock.calls.length]).toEqual([['call_f1', 'call_f2'], 0]);
    expect(said.at(-1)).toMatchObject({ type: 'response.create', response: { tool_choice: 'none' } });
    hear(reply('a3', 'f2', 'Goodbye.'));
    expect(onFinished).toHaveBeenCalledTimes(1);
  });

  test('an interview whose goodbye cannot be produced is finished, not failed', async () => {
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
