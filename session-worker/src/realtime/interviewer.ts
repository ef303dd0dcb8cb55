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
 * I4  While nobody listened (the sideband was cut, or another machine was lost) the tool may have been called unheard.
 *     When nothing at all happens for `quietMs` after that, the interviewer is told so and asked to go on; one that was
 *     leaving is asked for its goodbye again. Once that is asked for, any response is the goodbye, whatever part of it is heard.
 */
export interface Interviewer {
  /** I1. `recap`: what was said before, when this call continues an interview. */
  begin(recap?: string): void;
  /** Listening again, after a gap (I4). */
  resumed(): void;
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
const quietMs = 10_000;
const afterGap =
  'The connection was interrupted for a moment. If the interview is over, say goodbye and call end_session; otherwise go on.';

type State =
  | { name: 'talking' }
  | { name: 'leaving'; responseId: string | undefined; callId: string; asked: boolean }
  | { name: 'goodbye'; responseId: string }
  | { name: 'finished' };

export function createInterviewer({ clock, log, send, goodbyeMs, onFinished }: InterviewerDeps): Interviewer {
  let state: State = { name: 'talking' };
  let limit: Timer | undefined;
  let quiet: Timer | undefined;
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
  /** I4. */
  const takeForGoodbye = (responseId: string | undefined) => {
    if (state.name === 'leaving' && state.asked && responseId && responseId !== state.responseId)
      sayGoodbye(responseId);
  };
  const responseDone = (response: Json) => {
    takeForGoodbye(asId(response.id));
    if (state.name !== 'leaving' || state.asked || (state.responseId && response.id !== state.responseId)) return;
    const spoke = asArray(response.output).some((item) => asObject(item).type === 'message');
    const responseId = asId(response.id);
    if (spoke && responseId) return sayGoodbye(responseId);
    askForGoodbye(state);
  };
  const askForGoodbye = (leaving: Extract<State, { name: 'leaving' }>) => {
    const output = { type: 'function_call_output', call_id: leaving.callId, output: '{"ok":true}' };
    // Not attached just now: asked when it is again (I4).
    leaving.asked =
      send({ type: 'conversation.item.create', item: output }) &&
      send({ type: 'response.create', response: { metadata: goodbyeMark, tool_choice: 'none' } });
  };
  const goOn = () => {
    if (state.name === 'leaving') return askForGoodbye(state);
    log.info({}, 'nothing was heard since the gap; the interviewer is asked to go on');
    send(note(afterGap));
    send({ type: 'response.create' });
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
      takeForGoodbye(id);
    },
    'output_audio_buffer.started': ({ response_id }) => takeForGoodbye(asId(response_id)),
    'output_audio_buffer.stopped': ({ response_id }) => heard(asId(response_id)),
    'output_audio_buffer.cleared': ({ response_id }) => heard(asId(response_id)),
  };
  const heard = (responseId: string | undefined) => {
    if (!responseId) return;
    takeForGoodbye(responseId);
    played.add(responseId);
    if (state.name === 'goodbye' && state.responseId === responseId) finish();
  };

  return {
    begin: (recap) => {
      if (recap) send(note(recap));
      send({ type: 'response.create' });
    },
    resumed: () => {
      quiet?.cancel();
      if (state.name === 'leaving' && !state.asked) askForGoodbye(state);
      if (state.name === 'talking' || state.name === 'leaving') quiet = clock.setTimer(goOn, quietMs);
    },
    event: (event) => {
      if (event.type !== 'session.updated') quiet?.cancel();
      onEvent[event.type]?.(event);
    },
    stop: () => {
      limit?.cancel();
      quiet?.cancel();
      state = { name: 'finished' };
    },
  };
}

const note = (text: string) => ({
  type: 'conversation.item.create',
  item: { type: 'message', role: 'system', content: [{ type: 'input_text', text }] },
});
