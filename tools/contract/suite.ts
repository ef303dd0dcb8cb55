/**
 * Shared by the contract suites. A suite talks to one service over the network. It has a URL and a key, and does not know whether
 * a stand-in or the real service answers.
 */
export interface Case {
  /** What the service must do. */
  title: string;
  /** The beginning of the row of docs/outside.md that this shows. Default: no row. */
  row?: string;
  /** Needs a socket, or a client library that sends requests itself: it is not recorded. */
  live?: true;
  /** Rejects when the service does something else. */
  run(): Promise<void>;
}

export interface Suite {
  cases: Case[];
  /** What marks this run's own things and may differ in the next run, by a name for recordings. */
  names: Record<string, string>;
  /** Removes whatever the cases have made. @returns what could not be removed */
  cleanUp(): Promise<string[]>;
  /** What one run costs on the real service. */
  cost: string;
}

export type ServiceName = 'fly' | 'supabase' | 'openai' | 'video';

export interface Said {
  status: number;
  body: unknown;
  text: string;
  headers: Headers;
}

/** How a suite asks. `say` asks over the network; a replay answers from a recording. */
export type Say = (url: string, init?: RequestInit) => Promise<Said>;

const requestMs = 60_000;

export async function say(url: string, init: RequestInit = {}): Promise<Said> {
  const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(requestMs), ...init });
  const text = await answer.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  return { status: answer.status, body, text, headers: answer.headers };
}

/** Throws with `what` and the answer's status. Bodies are not shown: they may hold credentials. */
export function expectStatus(what: string, { status }: Said, ...wanted: number[]): void {
  if (!wanted.includes(status)) throw new Error(`${what}: answered ${status}, expected ${wanted.join(' or ')}`);
}

export function expectThat(what: string, isSo: boolean): void {
  if (!isSo) throw new Error(what);
}

/** Polls until `look` gives a value. @throws after the limit, naming `what` */
export async function until<T>(what: string, limitMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`${what}: not within ${limitMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
