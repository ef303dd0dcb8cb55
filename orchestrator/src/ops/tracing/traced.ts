import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { MachineStore } from '../../database/machine-store.ts';
import type { SessionStore } from '../../database/session-store.ts';
import type { Raw } from '../../fly/classify.ts';
import type { Call } from '../../fly/send.ts';
import type { Guard } from '../../net/guard.ts';
import type { SpanNotes, SpanOptions, Tracing } from '../../tracing/tracing.ts';
import type { VoiceProvider } from '../../voice/provider.ts';

/**
 * Wrappers that record what passes through a component as spans. They change nothing about it, and are not there at all if no
 * spans are exported.
 */

const client = (fields: SpanOptions['fields'] = {}): SpanOptions => ({ kind: 'client', fields });
const unobserved = <T>(_of: unknown, exchange: () => Promise<T>): Promise<T> => exchange();

/** @param status of an HTTP answer; 0: none came */
function noteStatus(span: SpanNotes, status: number): void {
  if (status > 0) span.set({ status_code: status });
  if (status === 0 || status >= 400) span.fail(status === 0 ? 'no answer' : String(status));
}

/** What a request to Fly is about, and which machine: `/apps/APP/machines/ID/COMMAND`. */
function flyActionOf({ method, path }: Call): { action: string; machine: string | undefined } {
  const [, apps, , , machine, command] = path.split('?')[0]?.split('/') ?? [];
  if (apps !== 'apps') return { action: 'other', machine: undefined };
  if (method === 'DELETE') return { action: 'destroy', machine };
  if (method === 'POST') return { action: command ?? 'create', machine };
  return { action: machine === undefined ? 'list' : 'get', machine };
}

/** Each request to Fly, with its action, status and Fly's own id of it. */
export const tracedFly = (tracing: Tracing): ((call: Call, exchange: () => Promise<Raw>) => Promise<Raw>) => {
  if (!tracing.isOn) return unobserved;
  return (call, exchange) => {
    const { action, machine } = flyActionOf(call);
    return tracing.span(`fly ${action}`, client({ app_name: call.app, fly_machine_id: machine }), async (span) => {
      const raw = await exchange();
      if ('requestId' in raw) span.set({ fly_request_id: raw.requestId });
      noteStatus(span, raw.status);
      return raw;
    });
  };
};

type Observe = <T extends { status: number }>(of: string, exchange: () => Promise<T>) => Promise<T>;

/** Each call of a database function for one request or session. Batches are for many (batch.ts): see `tracedSessions`. */
export const tracedDatabase = (tracing: Tracing): Observe => {
  if (!tracing.isOn) return unobserved;
  return (url, exchange) => {
    const name = url.split('/rpc/')[1]?.split('?')[0] ?? 'other';
    return tracing.span(`database ${name}`, client(), async (span) => {
      const answer = await exchange();
      if (answer.status >= 400) {
        span.set({ status_code: answer.status });
        span.fail(String(answer.status));
      }
      return answer;
    });
  };
};

/** Each request to api.video, with its status. */
export const tracedVideo = (tracing: Tracing): Observe => {
  if (!tracing.isOn) return unobserved;
  return (action, exchange) =>
    tracing.span(`video ${action}`, client(), async (span) => {
      const answer = await exchange();
      noteStatus(span, answer.status);
      return answer;
    });
};

/** The requests to URLs of tenants. The span has no URL, and they carry no trace context (docs/adr/0021). */
export const tracedGuard = (guard: Guard, tracing: Tracing): Guard => {
  if (!tracing.isOn) return guard;
  return {
    ...guard,
    post: (url, request) =>
      tracing.span('webhook request', client(), async (span) => {
        const answer = await guard.post(url, request);
        if (answer.kind === 'answered') {
          span.set({ status_code: answer.status });
          if (answer.status >= 300) span.fail(String(answer.status));
        } else span.fail(answer.why);
        return answer;
      }),
  };
};

/** The voice provider's requests. They carry nothing of ours but what they need (docs/adr/0021). */
export const tracedVoice = (voice: VoiceProvider, tracing: Tracing): VoiceProvider => {
  if (!tracing.isOn) return voice;
  const asked = <A extends unknown[], R extends { kind: string }>(
    action: string,
    good: string,
    ask: (...args: A) => Promise<R>,
  ) => {
    return (...args: A): Promise<R> =>
      tracing.span(`provider ${action}`, client(), async (span) => {
        const outcome = await ask(...args);
        span.set({ kind: outcome.kind });
        if (outcome.kind !== good) span.fail(outcome.kind);
        return outcome;
      });
  };
  return {
    ...voice,
    mint: asked('mint credential', 'minted', voice.mint),
    hangUp: asked('hang up', 'over', voice.hangUp),
  };
};

/** The creation of sessions: the wait for its batch included. */
export const tracedSessions = (sessions: SessionStore, tracing: Tracing): SessionStore => {
  const create: SessionStore['create'] = async (request) => {
    const result = await sessions.create(request);
    if ('session' in result) {
      const { session_id, tenant_id } = result.session;
      tracing.know({ session_id, tenant_id });
    }
    return result;
  };
  if (!tracing.isOn) return { ...sessions, create };
  return {
    ...sessions,
    create: (request) =>
      tracing.span('database create_sessions', client(), async (span) => {
        const result = await create(request);
        span.set({ kind: result.kind });
        return result;
      }),
  };
};

/** The claims: which session they are for is known when they are answered. */
export const tracedMachines = (machines: MachineStore, tracing: Tracing, clock: Pick<Clock, 'now'>): MachineStore => ({
  ...machines,
  claim: async (claim) => {
    const startMs = clock.now();
    const claimed = await machines.claim(claim);
    if (claimed.kind !== 'claimed') return claimed;
    const { session_id, tenant_id, epoch } = claimed.session;
    tracing.know({ session_id, tenant_id, machine_id: claimed.machine_id }, claimed.traceparent);
    tracing.record('claim_sessions', { startMs, fields: { epoch } });
    return claimed;
  },
});
