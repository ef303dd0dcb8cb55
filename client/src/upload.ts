import type { KeptEntries } from './kept-entries.ts';
import type { KeptEntry, UploadOptions, UploadTarget } from './types.ts';

/**
 * Uploads entries that could not be sent over the socket to the Edge Function `interview-transcript`. Loaded when it is
 * needed, so it imports nothing that the rest of the SDK contains.
 *
 * - Entries that the function has stored, or can never store (an erased transcript, an item of an unknown
 *   call), are removed here. Only the function's own answers count (a list of item ids, or an RFC 9457 problem
 *   document), not those of a proxy.
 * - If the function does not answer, the upload is repeated with backoff. Entries that are left stay until the
 *   page is opened again.
 * - If the token is refused and has expired (a day after the session), its entries are dropped. The clock of
 *   this device may be wrong, so the function must refuse the token; without an answer entries are dropped only
 *   a week after that.
 */
type Judged = 'judged' | 'invalid' | 'refused' | 'away';
const neverTaken = [404, 409, 410];
const longestWaitMs = 15_000;
const requestMs = 25_000;
/** This long after a token expired, its entries are dropped without asking the function, ms. */
const longDeadMs = 7 * 86_400_000;

async function post({ url, token }: UploadTarget, entries: KeptEntry[], send: typeof fetch): Promise<Judged> {
  const answer = await send(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ entries }),
    signal: AbortSignal.timeout(requestMs),
  }).catch(() => undefined);
  if (answer?.ok) return (await isItsList(answer)) ? 'judged' : 'away';
  const itsWord = answer?.headers.get('content-type')?.startsWith('application/problem+json') ?? false;
  if (!answer || !itsWord) return 'away';
  if (answer.status === 401) return 'refused';
  if (answer.status === 422) return 'invalid';
  return neverTaken.includes(answer.status) ? 'judged' : 'away';
}

async function isItsList(answer: Response): Promise<boolean> {
  const body: unknown = await answer.json().catch(() => undefined);
  return Array.isArray((body as { item_ids?: unknown } | null | undefined)?.item_ids);
}

/** Uploads the kept entries of one session. Never rejects. @returns the number of entries that are left */
export async function uploadKept(kept: KeptEntries, options: UploadOptions = {}): Promise<number> {
  await handInAll(kept, options);
  return kept.all.length;
}

/** @returns whether the token was refused */
async function handInAll(kept: KeptEntries, options: UploadOptions): Promise<boolean> {
  const { fetch: send = fetch, tries = 8, waitMs = 500 } = options;
  const target = kept.upload;
  let refused = false;

  const patiently = async (entries: KeptEntry[], to: UploadTarget): Promise<Judged> => {
    for (let attempt = 0; ; attempt += 1) {
      const judged = await post(to, entries, send);
      if (judged !== 'away' || attempt + 1 >= tries) return judged;
      await new Promise((resolve) => setTimeout(resolve, Math.min(longestWaitMs, waitMs * 2 ** attempt)));
    }
  };
  /** Uploads entries. False if further uploads are pointless. */
  const handIn = async (entries: KeptEntry[], to: UploadTarget): Promise<boolean> => {
    const judged = await patiently(entries, to);
    refused ||= judged === 'refused';
    if (judged === 'invalid' && entries.length > 1) {
      // At least one entry is refused. Upload in halves to store the others with few requests, because the function
      // limits them after the end of a session: one bad entry in 1,000 costs about ten.
      const half = Math.ceil(entries.length / 2);
      return (await handIn(entries.slice(0, half), to)) && (await handIn(entries.slice(half), to));
    }
    if (judged === 'judged' || judged === 'invalid') kept.remove(entries.map((entry) => entry.item_id));
    return judged === 'judged' || judged === 'invalid';
  };

  if (target) for (const entries of kept.chunks) if (!(await handIn(entries, target))) break;
  kept.settle();
  return refused;
}

/** How long ago the token expired, ms. Infinite for a token that cannot be read. */
function deadMs({ token }: UploadTarget, nowMs: number): number {
  try {
    const payload = JSON.parse(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')));
    const expMs = Number((payload as { exp?: unknown }).exp) * 1_000;
    return Number.isFinite(expMs) ? nowMs - expMs : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Uploads entries that earlier pages left behind. Call it when a page opens. Never rejects. */
export async function uploadLeftovers(
  leftovers: KeptEntries[],
  { nowMs, ...options }: UploadOptions & { nowMs: number },
): Promise<void> {
  for (const kept of leftovers) {
    const forSoLongMs = kept.upload ? deadMs(kept.upload, nowMs) : Number.POSITIVE_INFINITY;
    const refused = forSoLongMs < longDeadMs && (await handInAll(kept, options));
    if (forSoLongMs >= longDeadMs || (refused && forSoLongMs >= 0)) kept.remove(kept.all.map((entry) => entry.item_id));
    kept.settle();
  }
}
