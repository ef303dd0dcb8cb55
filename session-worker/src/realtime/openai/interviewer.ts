import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import { asArray, asId, asObject, asText, type Json, type ProviderEvent } from './events.ts';
import { createReplies } from './replies.ts';

/**
 * Makes the interviewer begin, and ends the interview when the model calls its tool.
 *
 *   talking ──tool called──▶ leaving ──goodbye begins──▶ goodbye ──it was played──▶ finished
 *
 * - The first words are requested once per call, on the sideband.
 * - Only a complete tool call counts. One that was cut off (by the candidate, by a limit) changes nothing.
 * - While the candidate is away, the tool call is refused: silence is then no answer, and nobody would hear the
 *   goodbye. If nothing happens for `quietMs` after the candidate's return, the interviewer is asked to
 *   continue.
 * - The goodbye is played to its end. A model that speaks and calls the tool in one response has said goodbye
 *   there; otherwise the tool's result asks for it. A model that calls the tool again instead is asked again.
 *   Each step is limited by `goodbyeMs`, so a missing goodbye does not block the ending.
 * - A failed response is requested again (replies.ts). If no goodbye can be produced, the interview ends
 *   without it.
 * - During a gap (the sideband was cut, or another machine was lost) a tool call may have been missed. If no
 *   event arrives for `quietMs` after the gap, the interviewer is told about it and asked to continue; if it
 *   was leaving, it is asked for its goodbye again. After that request any response counts as the goodbye.
 */
export interface Interviewer {
  /** Requests the first words. `recap`: what was said before, when this call continues an interview. */
  begin(recap?: string): void;
  /** The sideband is attached again after a gap. */
  resumed(): void;
  /** The candidate was away and is back. */
  returned(): void;
  event(event: ProviderEvent): void;
  /**
   * Inserts an item, and requests a reply to it when `answer`. False when the sideband is not attached or the
   * interview is ending.
   */
  tell(item: Json, answer: boolean): boolean;
  stop(): void;
}

export interface InterviewerDeps {
  clock: Clock;
  log: Logger;
  send(event: Json & { type: string }): boolean;
  goodbyeMs: number;
  /** Whether the interviewer may end the interview now. */
  mayFinish(): boolean;
  onFinished(): void;
  /** The provider can no longer make the interviewer speak. */
  onFailed(reason: SessionReason): void;
}

/** Name of the tool with which the model ends the interview; the session's configuration declares it. */
export const endTool = 'end_session';
const goodbyeMark = { greenroom: 'goodbye' };
const quietMs = 10_000;
const refusedEnd =
  '{"ok":false,"reason":"The candidate is disconnected. Wait in silence until the candidate is back."}';
const afterGap =
  'The connection was interrupted for a moment. If the interview is over, say goodbye and call end_session; otherwise go on.';

type Leaving = { name: 'leaving'; responseId: string | undefined; callId: string; answered: boolean; asked: boolean };
type State =
  | { name: 'talking' }
  | Leaving
  | { name: 'goodbye'; responseId: string; from: Leaving }
  | { name: 'finished' };

export function createInterviewer(deps: InterviewerDeps): Interviewer {
  const { clock, log, send, goodbyeMs, mayFinish, onFinished, onFailed } = deps;
  let state: State = { name: 'talking' };
  let limit: Timer | undefined;
  let quiet: Timer | undefined;
  let wasRefused = false;
  const begun = new Set<string>();
  const played = new Set<string>();

  const replies = createReplies({
    clock,
    log,
    ask: () => {
      if (state.name === 'talking') ask();
      if (state.name === 'leaving') askForGoodbye(state);
    },
    onFailed: (reason) => (state.name === 'talking' ? onFailed(reason) : finish()),
  });
  const ask = (response?: Json): boolean => {
    const sent = send({ type: 'response.create', ...(response ? { response } : {}) });
    if (sent) replies.asked();
    return sent;
  };
  const finish = () => {
    limit?.cancel();
    replies.stop();
    if (state.name === 'finished') return;
    state = { name: 'finished' };
    onFinished();
  };
  const bound = () => {
    limit?.cancel();
    limit = clock.setTimer(finish, goodbyeMs);
  };
  const sayGoodbye = (responseId: string, from: Leaving) => {
    if (played.has(responseId)) return finish();
    state = { name: 'goodbye', responseId, from };
    bound();
  };

  const leave = (callId: string, responseId: string | undefined) => {
    if (state.name !== 'talking') return;
    if (!mayFinish()) {
      log.info({}, 'the interviewer asked to end the interview while the candidate is away, and was refused');
      wasRefused = true;
      send(toolResult(callId, refusedEnd));
      return;
    }
    log.info({}, 'the interviewer ends the interview');
    state = { name: 'leaving', responseId, callId, answered: false, asked: false };
    bound();
  };
  const takeForGoodbye = (responseId: string | undefined) => {
    if (state.name === 'leaving' && state.asked && responseId && responseId !== state.responseId)
      sayGoodbye(responseId, state);
  };
  const responseDone = (response: Json) => {
    takeForGoodbye(asId(response.id));
    if (state.name === 'goodbye' && state.responseId === response.id) return goodbyeDone(state, response);
    if (state.name !== 'leaving' || state.asked || (state.responseId && response.id !== state.responseId)) return;
    const responseId = asId(response.id);
    if (spoke(response) && responseId) return sayGoodbye(responseId, state);
    askForGoodbye(state);
  };
  /** A response that was taken for the goodbye is complete. */
  const goodbyeDone = ({ from, responseId }: Extract<State, { name: 'goodbye' }>, response: Json) => {
    if (response.status === 'failed') {
      state = { ...from, responseId, asked: true };
      return;
    }
    const callId = asArray(response.output).map(asObject).find(isEndCall)?.call_id;
    if (spoke(response) || callId === undefined) return;
    // An answer that was typed at the last moment: the model replied to it before it got the tool's result, and called the tool again.
    state = { ...from, responseId, callId: asId(callId) ?? '', answered: false, asked: false };
    askForGoodbye(state);
  };
  const askForGoodbye = (leaving: Leaving) => {
    leaving.answered ||= send(toolResult(leaving.callId, '{"ok":true}'));
    // If the sideband is not attached, `resumed` asks later.
    leaving.asked = leaving.answered && ask({ metadata: goodbyeMark, tool_choice: 'none' });
  };
  const goOn = () => {
    if (state.name === 'leaving') return askForGoodbye(state);
    log.info({}, 'no events since the interruption; asking the interviewer to continue');
    send(note(afterGap));
    ask();
  };

  const onEvent: Record<string, (event: ProviderEvent) => void> = {
    'response.output_item.done': ({ item, response_id }) => {
      if (isEndCall(asObject(item))) leave(asId(asObject(item).call_id) ?? '', asId(response_id));
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
      ask();
    },
    resumed: () => {
      quiet?.cancel();
      replies.resumed();
      if (state.name === 'leaving' && !state.asked) askForGoodbye(state);
      if (state.name === 'talking' || state.name === 'leaving') quiet = clock.setTimer(goOn, quietMs);
    },
    returned: () => {
      if (!wasRefused) return;
      wasRefused = false;
      quiet?.cancel();
      if (state.name === 'talking') quiet = clock.setTimer(goOn, quietMs);
    },
    tell: (item, answer) => {
      if (state.name !== 'talking' || !send({ type: 'conversation.item.create', item })) return false;
      return !answer || ask();
    },
    event: (event) => {
      if (event.type !== 'session.updated') quiet?.cancel();
      if (state.name !== 'finished') replies.event(event);
      onEvent[event.type]?.(event);
    },
    stop: () => {
      limit?.cancel();
      quiet?.cancel();
      replies.stop();
      state = { name: 'finished' };
    },
  };
}

/**
 * A complete call of the tool. One that was cut off has another status, or arguments that are not an object.
 */
function isEndCall({ type, name, status = 'completed', arguments: given = '{}' }: Json): boolean {
  return type === 'function_call' && name === endTool && status === 'completed' && isJsonObject(asText(given));
}

const spoke = ({ output }: Json): boolean => asArray(output).some((item) => asObject(item).type === 'message');

const isJsonObject = (text: string): boolean => {
  try {
    return text === '' || (typeof JSON.parse(text) === 'object' && JSON.parse(text) !== null);
  } catch {
    return false;
  }
};

const toolResult = (call_id: string, output: string) => ({
  type: 'conversation.item.create',
  item: { type: 'function_call_output', call_id, output },
});

export const note = (text: string) => ({
  type: 'conversation.item.create',
  item: { type: 'message', role: 'system', content: [{ type: 'input_text', text }] },
});
