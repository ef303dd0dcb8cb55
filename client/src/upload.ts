import { chunksOf } from './chunks.ts';
import { type KeptEntries, openKept } from './kept-entries.ts';
import type { EntryStore, KeptEntry, UploadOptions, UploadTarget } from './types.ts';

/**
 * The last resort: what could not be sent over the socket is handed to the Edge Function `interview-transcript`.
 *
 * U1  What the function has judged is not kept any longer: stored, or of a kind it will never take (an erased transcript,
 *     an item of a call that never was). Only its own word counts (its list of item ids, or RFC 9457), never that of
 *     something on the way.
 * U2  Its being away is waited for, with backoff; what is left then stays for the next time the page is opened.
 * U3  A token that is refused cannot be bettered: once its session's day is over, what it would have carried is dropped.
 *     By the function's word, for this device's clock may be wrong; without it only when that day is long over.
 */
type Judged = 'judged' | 'invalid' | 'refused' | 'away';
const neverTaken = [404, 409, 410];
const longestWaitMs = 15_000;
const requestMs = 25_000;
/** U3. */
const longDeadMs = 7 * 86_400_000;

async function post({ url, token }: UploadTarget, entries: KeptEntry[], send: typeof fetch): Promise<Judged> {
  const answer = await send(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ entries }),
    signal: AbortSignal.timeout(requestMs),
  }).catch(() => undefined);
  if (answer?.ok) return (await isItsList(answer)) ? 'judged' : 'away'; // U1
  const itsWord = answer?.headers.get('content-type')?.startsWith('application/problem+json') ?? false; // U1
  if (!answer || !itsWord) return 'away';
  if (answer.status === 401) return 'refused';
  if (answer.status === 422) return 'invalid';
  return neverTaken.includes(answer.status) ? 'judged' : 'away';
}

async function isItsList(answer: Response): Promise<boolean> {
  const body: unknown = await answer.json().catch(() => undefined);
  return Array.isArray((body as { item_ids?: unknown } | null | undefined)?.item_ids);
}

/** Uploads what is kept of one session. Never rejects. @returns how many entries are left. */
export async function uploadKept(kept: KeptEntries, options: UploadOptions = {}): Promise<number> {
  await handInAll(kept, options);
  return kept.all.length;
}

/** @returns whether its token was refused. */
async function handInAll(kept: KeptEntries, options: UploadOptions): Promise<boolean> {
  const { fetch: send = fetch, tries = 8, waitMs = 500 } = options;
  const target = kept.upload;
  let refused = false;

  const patiently = async (entries: KeptEntry[], to: UploadTarget): Promise<Judged> => {
    for (let attempt = 0; ; attempt += 1) {
      const judged = await post(to, entries, send);
      if (judged !== 'away' || attempt + 1 >= tries) return judged;
      await new Promise((resolve) => setTimeout(resolve, Math.min(longestWaitMs, waitMs * 2 ** attempt))); // U2
    }
  };
  /** False: there is no point in going on. */
  const handIn = async (entries: KeptEntry[], to: UploadTarget): Promise<boolean> => {
    const judged = await patiently(entries, to);
    refused ||= judged === 'refused';
    if (judged === 'invalid' && entries.length > 1) {
      // One of them is not acceptable: the others must not suffer for it. In halves, because the function takes few changes
      // of a session that has ended: one bad entry of 1,000 costs about ten.
      const half = Math.ceil(entries.length / 2);
      return (await handIn(entries.slice(0, half), to)) && (await handIn(entries.slice(half), to));
    }
    if (judged === 'judged' || judged === 'invalid') kept.remove(entries.map((entry) => entry.item_id));
    return judged === 'judged' || judged === 'invalid';
  };

  if (target) for (const entries of chunksOf(kept.all)) if (!(await handIn(entries, target))) break;
  kept.settle();
  return refused;
}

/** U3: how long ago its token died, the day after the session. A token that cannot be read is long dead. */
function deadMs({ token }: UploadTarget, nowMs: number): number {
  try {
    const payload = JSON.parse(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')));
    const expMs = Number((payload as { exp?: unknown }).exp) * 1_000;
    return Number.isFinite(expMs) ? nowMs - expMs : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Uploads what earlier pages left behind. Call it when a page opens. Never rejects.
 * @param except the session that is about to be joined: its own client sends what is kept
 */
export async function uploadLeftovers(
  store: EntryStore,
  { except, nowMs, ...options }: UploadOptions & { except?: string | undefined; nowMs: number },
): Promise<void> {
  const sessions = await store.sessions().catch(() => []);
  for (const sessionId of sessions.filter((id) => id !== except)) {
    const kept = await openKept(sessionId, store);
    const forSoLongMs = kept.upload ? deadMs(kept.upload, nowMs) : Number.POSITIVE_INFINITY;
    const refused = forSoLongMs < longDeadMs && (await handInAll(kept, options));
    if (forSoLongMs >= longDeadMs || (refused && forSoLongMs >= 0)) kept.remove(kept.all.map((entry) => entry.item_id));
    kept.settle();
  }
}
