import type { Orchestrator } from './outside/orchestrator.ts';
import type { Store, StoreResult } from './outside/store.ts';
import type { Tracing } from './outside/tracing.ts';
import type { Voice } from './realtime/voice.ts';

/** Wrappers that record what passes through a part as spans. They change nothing about it. */

const failureOf = (answer: { kind: string; status?: number; code?: string | undefined }): string | undefined =>
  answer.kind === 'failed' ? (answer.code ?? String(answer.status ?? 'failed')) : undefined;

/** Of the claims, the one that got the session. Heartbeats are not recorded. */
export const tracedOrchestrator = (
  orchestrator: Orchestrator,
  tracing: Tracing,
  nowMs: () => number,
): Orchestrator => ({
  ...orchestrator,
  claim: async (...args) => {
    const startMs = nowMs();
    const answer = await orchestrator.claim(...args);
    if (answer.kind === 'ok' && 'session' in answer.value)
      tracing.record({ name: 'claim', kind: 'client', startMs, endMs: nowMs() });
    return answer;
  },
  openCall: (ordinal, signal) =>
    tracing.measure(
      'ask for credential',
      () => orchestrator.openCall(ordinal, signal),
      (answer) => ({
        fields: { ordinal },
        failure: failureOf(answer),
      }),
    ),
  updateCall: (ordinal, change, signal) =>
    tracing.measure(
      'call_id' in change ? 'store call id' : 'report hang up',
      () => orchestrator.updateCall(ordinal, change, signal),
      (answer) => ({ fields: { ordinal }, failure: failureOf(answer) }),
    ),
  finish: (request, signal) =>
    tracing.measure(
      'report end',
      () => orchestrator.finish(request, signal),
      (answer) => ({
        fields: { kind: request.kind },
        failure: failureOf(answer),
      }),
    ),
});

/** The voice provider's requests, and each attachment of the sideband until its first answer. They carry no header of ours. */
export const tracedVoice = (voice: Voice, tracing: Tracing, nowMs: () => number): Voice => ({
  ...voice,
  createCall: (offer, signal) =>
    tracing.measure(
      'provider create call',
      () => voice.createCall(offer, signal),
      (created) =>
        created.kind === 'created'
          ? { fields: { call_id: created.callId } }
          : { fields: { status_code: created.status, code: created.code }, failure: created.code },
    ),
  hangUp: (callId, credential, signal) =>
    tracing.measure(
      'provider hang up',
      () => voice.hangUp(callId, credential, signal),
      (over) => ({
        fields: { call_id: callId },
        failure: over ? undefined : 'not confirmed',
      }),
    ),
  attend: (call, hear) => {
    const startMs = nowMs();
    let attached = false;
    return voice.attend(call, (event) => {
      if (event.type === 'attached' && !attached) {
        attached = true;
        tracing.record({
          ...{ name: 'provider sideband', kind: 'client', startMs, endMs: nowMs() },
          fields: { ordinal: call.ordinal, call_id: call.callId },
        });
      }
      hear(event);
    });
  },
});

/** The writes of the session's data. */
export function tracedStore(store: Store, tracing: Tracing): Store {
  const stored = <T>(name: string, write: () => Promise<StoreResult<T>>, item_count?: number) =>
    tracing.measure(`database ${name}`, write, (result) => ({
      ...(item_count === undefined ? {} : { fields: { item_count } }),
      failure: result.kind === 'ok' ? undefined : result.kind,
    }));
  return {
    ...store,
    report: (report) => stored('worker_report', () => store.report(report)),
    flag: (kind, count) => stored('flag_integrity', () => store.flag(kind, count)),
    append: (entries) => stored('append_transcript', () => store.append(entries), entries.length),
    transcript: () => stored('own_transcript', store.transcript),
  };
}
