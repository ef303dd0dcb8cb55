/** Requests to the operators' API of this address. The types of its answers are those of the API itself. */
interface Problem {
  status: number;
  title: string;
  detail?: string;
  code: string;
  request_id?: string;
  errors?: Array<{ field: string; message: string }>;
  /** True: it is already so, for example because another operator did it first. */
  already?: boolean;
}

/** `status` is 0 if there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  readonly requestId: string | undefined;
  readonly already: boolean;

  constructor({ status, title, detail, request_id, errors, already }: Problem) {
    const fields = (errors ?? []).map(({ field, message }) => `${field}: ${message}`).join('; ');
    // A malformed id has no detail of its own: the API repeats the title.
    const isBare = detail === undefined || detail === `${title}.`;
    const sentence = isBare && status === 404 ? 'There is nothing with this id.' : (detail ?? title);
    super([sentence, fields].filter((text) => text !== '').join(' '));
    this.status = status;
    this.requestId = request_id;
    this.already = already === true;
  }
}

async function problemIn(answer: Response): Promise<Problem> {
  try {
    return (await answer.json()) as Problem;
  } catch {
    return { status: answer.status, title: `The orchestrator answered ${answer.status}.`, code: 'unknown' };
  }
}

/** Another site cannot make a browser send this header. */
export const dashboardHeaders = { 'greenroom-dashboard': '1' };

async function ask(path: string, init: RequestInit): Promise<Response> {
  const headers = { ...dashboardHeaders, ...init.headers };
  let answer: Response;
  try {
    answer = await fetch(`/ops/api/${path}`, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError({ status: 0, title: 'The orchestrator does not answer.', code: 'away' });
  }
  if (!answer.ok) throw new ApiError(await problemIn(answer));
  return answer;
}

/** @param path below `/ops/api/`, with its query. Throws ApiError. */
export const get = async <T>(path: string, signal: AbortSignal): Promise<T> =>
  (await ask(path, { signal })).json() as Promise<T>;

/** Throws ApiError. */
export async function send<T>(method: 'POST' | 'PUT', path: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  const answer = await ask(path, { method, headers, body: JSON.stringify(body) });
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Part of an address as a UUID in lower case. Undefined if it is not a UUID. */
export function uuidIn(text: string): string | undefined {
  const id = text.trim().toLowerCase();
  return uuidForm.test(id) ? id : undefined;
}

export type Search = Record<string, string | string[]>;

/** A query string; a list becomes a repeated name. */
export function queryOf(search: Search): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(search))
    for (const one of [value].flat()) if (one !== '') query.append(name, one);
  return query.toString();
}

export function searchOf(query: string): Search {
  // Without a prototype: a name such as `constructor` is a name like any other.
  const found: Search = Object.create(null);
  for (const [name, value] of new URLSearchParams(query)) {
    const held = found[name];
    found[name] = held === undefined ? value : [held, value].flat();
  }
  return found;
}
