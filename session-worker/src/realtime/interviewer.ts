import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { asArray, asId, asObject, type Json, type ProviderEvent } from './events.ts';

/**
 * The interviewer's own moves: it begins, and it may end the interview by its tool.
 *
 *   talking ──tool called──▶ leaving ──goodbye begins──▶ goodbye ──it was played──▶ finished
 *
 * I1  The first words are asked for once per call, on the sideband: the provider holds them until the media is up.
 * I2  The goodbye is heard to its end. A model that speaks and calls the tool in one response has said it there;
 *     otherwise the tool's result asks for it.
 * I3  Each step is bounded by `goodbyeMs`: a goodbye that never comes does not keep the session.
 */
export interface Interviewer {
  /** I1. `recap`: what was said before, when this call continues an interview. */
  begin(recap?: string): void;
  event(event: ProviderEvent): void;
  stop(): void;
}

export interface InterviewerDeps {
  clock: Clock;
  log: Logger;
  send(event: Json & { type: string }): boolean;
  goodbyeMs: number;
  onFinished(): void;
}

/** Name of the tool by which the model ends the interview; the session's configuration declares it. */
export const endTool = 'end_session';
const goodbyeMark = { greenroom: 'goodbye' };

type State =
  | { name: 'talking' }
  | { name: 'leaving'; responseId: string | undefined; callId: string; asked: boolean }
  | { name: 'goodbye'; responseId: string }
  | { name: 'finished' };

export function createInterviewer({ clock, log, send, goodbyeMs, onFinished }: InterviewerDeps): Interviewer {
  let state: State = { name: 'talking' };
  let limit: Timer | undefined;
  const begun = new Set<string>();
  const played = new Set<string>();

  const finish = () => {
    limit?.cancel();
    if (state.name === 'finished') return;
    state = { name: 'finished' };
    onFinished();
  };
  const bound = () => {
    limit?.cancel();
    limit = clock.setTimer(finish, goodbyeMs);
  };
  const sayGoodbye = (responseId: string) => {
    if (played.has(responseId)) return finish();
    state = { name: 'goodbye', responseId };
    bound();
  };

  const leave = (callId: string, responseId: string | undefined) => {
    if (state.name !== 'talking') return;
    log.info({}, 'the interviewer ends the interview');
    state = { name: 'leaving', responseId, callId, asked: false };
    bound();
  };
  const responseDone = (response: Json) => {
    if (state.name !== 'leaving' || state.asked || (state.responseId && response.id !== state.responseId)) return;
    const spoke = asArray(response.output).some((item) => asObject(item).type === 'message');
    const responseId = asId(response.id);
    if (spoke && responseId) return sayGoodbye(responseId);
    state.asked = true;
    const output = { type: 'function_call_output', call_id: state.callId, output: '{"ok":true}' };
    send({ type: 'conversation.item.create', item: output });
    send({ type: 'response.create', response: { metadata: goodbyeMark, tool_choice: 'none' } });
  };

  const onEvent: Record<string, (event: ProviderEvent) => void> = {
    'response.output_item.done': ({ item, response_id }) => {
      const { type, name, call_id } = asObject(item);
      if (type === 'function_call' && name === endTool) leave(asId(call_id) ?? '', asId(response_id));
    },
    'response.done': ({ response }) => responseDone(asObject(response)),
    'response.created': ({ response }) => {
      const id = asId(asObject(response).id);
      if (!id || begun.has(id)) return;
      begun.add(id);
      if (state.name === 'leaving' && state.asked) sayGoodbye(id);
    },
    'output_audio_buffer.stopped': ({ response_id }) => heard(asId(response_id)),
    'output_audio_buffer.cleared': ({ response_id }) => heard(asId(response_id)),
  };
  const heard = (responseId: string | undefined) => {
    if (!responseId) return;
    played.add(responseId);
    if (state.name === 'goodbye' && state.responseId === responseId) finish();
  };

  return {
    begin: (recap) => {
      if (recap) {
        const content = [{ type: 'input_text', text: recap }];
        send({ type: 'conversation.item.create', item: { type: 'message', role: 'system', content } });
      }
      send({ type: 'response.create' });
    },
    event: (event) => onEvent[event.type]?.(event),
    stop: () => {
      limit?.cancel();
      state = { name: 'finished' };
    },
  };
}
