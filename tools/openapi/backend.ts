import type { components, operations, paths } from '../../server-client/src/api-types.ts';

/**
 * A backend of a platform, written against the types that openapi-typescript generates from the OpenAPI document, and
 * nothing else. `npm run openapi` compiles it strictly, and runs it against the local cloud.
 */
type Session = components['schemas']['Session'];
type Problem = components['schemas']['Problem'];
type NewSession = operations['createSession']['requestBody']['content']['application/json'];
type SessionFilters = NonNullable<operations['listSessions']['parameters']['query']>;

class ApiError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail} (request ${problem.request_id})`);
    this.problem = problem;
  }
}

interface Sent {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: object;
  headers?: Record<string, string>;
}

export function createBackend(url: string, apiKey: string) {
  const send = async <Answer>(at: string, { method = 'GET', body, headers = {} }: Sent = {}): Promise<Answer> => {
    const answer = await fetch(`${url}${at}`, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new ApiError((await answer.json()) as Problem);
    return (await answer.json()) as Answer;
  };

  const queryOf = ({ metadata = {}, ...filters }: SessionFilters): string => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filters))
      for (const one of [value].flat()) if (one !== undefined) query.append(name, String(one));
    for (const [name, value] of Object.entries(metadata)) query.append(`metadata[${name}]`, value);
    return query.toString();
  };

  return {
    me: () => send<components['schemas']['Me']>('/api/me' satisfies keyof paths),
    /** Creates an interview for an order, once, however often it is called; answers when a candidate can join. */
    createForOrder: (order: string, session: NewSession) =>
      send<Session>('/api/sessions' satisfies keyof paths, {
        method: 'POST',
        body: { ...session, metadata: { ...session.metadata, order } } satisfies NewSession,
        headers: { 'idempotency-key': `order-${order}`, prefer: 'wait=60' },
      }),
    /** All sessions to which the filters apply. */
    async *sessions(filters: SessionFilters): AsyncGenerator<components['schemas']['SessionSummary']> {
      let cursor: string | null = '';
      while (cursor !== null) {
        const query = queryOf({ ...filters, ...(cursor === '' ? {} : { cursor }) });
        const page: components['schemas']['SessionList'] = await send(`/api/sessions?${query}`);
        yield* page.data;
        cursor = page.next_cursor;
      }
    },
    end: (session: Pick<Session, 'session_id'>) =>
      send<Session>(`/api/sessions/${session.session_id}`, { method: 'DELETE' }),
    /** What a reviewer sees first. Null while there is no result. */
    recommendationOf: async ({ session_id }: Pick<Session, 'session_id'>) => {
      const { result } = await send<Session>(`/api/sessions/${session_id}?expand=result`);
      return result?.evaluation?.recommendation ?? null;
    },
  };
}
