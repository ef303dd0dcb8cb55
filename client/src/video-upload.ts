import type { KeptRecording, Segment, SegmentStore } from './recording-types.ts';

/**
 * Uploads one recording to api.video with its upload token, in parts, while it is still being recorded.
 *
 * - `Content-Range: part N/*`, and `part N/N` for the last one, as the ProgressiveUploader of api.video's own package does.
 *   A part other than the last has at least 5 MiB. A part is sent only when another segment follows, so that the last part
 *   is never empty.
 * - A part consists of the oldest segments, as few as reach 5 MiB. So a page that continues after a reload sends the same
 *   bytes under the same number again when it does not know whether a part arrived.
 * - Network errors, 408, 429, 5xx and answers that api.video did not write are retried until the token has expired. Any other
 *   refusal of api.video is final.
 */
export const minPartBytes = 5 * 1024 * 1024;
const requestMs = 600_000;
const firstWaitMs = 1_000;
const longestWaitMs = 30_000;

export type UploadOutcome =
  | { kind: 'uploaded'; url: string | null }
  /** Nothing was recorded. */
  | { kind: 'empty' }
  /** api.video refuses the recording. */
  | { kind: 'refused' }
  /** api.video did not answer before the token expired. */
  | { kind: 'away' };

export interface VideoUpload {
  /** A segment was added to the store. */
  added(): void;
  /** The network is back: ends the wait before the next try. */
  hurry(): void;
  /** No more segments will be added: uploads the rest. */
  finish(): void;
  readonly outcome: Promise<UploadOutcome>;
}

export interface VideoUploadDeps {
  recording: KeptRecording;
  store: SegmentStore;
  fetch: typeof fetch;
  now: () => number;
  /** Called when a part is uploaded, with its size. */
  onPart?(bytes: number): void;
  /** Default 1 s, doubled up to 30 s. */
  waitMs?: number;
}

type Answer = { kind: 'stored'; url: string | null } | { kind: 'refused' } | { kind: 'away'; retryAfterMs: number };
type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

/** The player's URL without its token, which works once and is of no use to anybody later. */
function playerOf(body: Json): string | null {
  const player = isObject(body.assets) ? body.assets.player : undefined;
  if (typeof player !== 'string' || !URL.canParse(player)) return null;
  const url = new URL(player);
  url.searchParams.delete('token');
  return url.href;
}

/** @param total `*` while it is not known */
async function sendPart(
  { videoId, token, uploadUrl, type, sentParts }: KeptRecording,
  segments: readonly Segment[],
  isLast: boolean,
  send: typeof fetch,
): Promise<Answer> {
  const part = sentParts + 1;
  const form = new FormData();
  form.append('videoId', videoId);
  const name = `recording.${type.includes('mp4') ? 'mp4' : 'webm'}`;
  form.append('file', new Blob(segments.map(({ bytes }) => bytes)), name);
  const answer = await send(`${uploadUrl}/upload?token=${encodeURIComponent(token)}`, {
    method: 'POST',
    headers: { 'content-range': `part ${part}/${isLast ? part : '*'}` },
    body: form,
    // The conversation comes first.
    priority: 'low',
    signal: AbortSignal.timeout(requestMs),
  }).catch(() => undefined);
  const body: unknown = await answer?.json().catch(() => undefined);
  if (answer?.ok && isObject(body) && body.videoId === videoId) return { kind: 'stored', url: playerOf(body) };
  const isRefusal =
    answer && !answer.ok && answer.status < 500 && answer.status !== 408 && answer.status !== 429 && isObject(body);
  if (isRefusal && typeof body.title === 'string') return { kind: 'refused' };
  const seconds = Number(answer?.headers.get('retry-after') ?? answer?.headers.get('x-ratelimit-retry-after') ?? 0);
  return { kind: 'away', retryAfterMs: answer?.status === 429 && seconds > 0 ? seconds * 1_000 : 0 };
}

export function createVideoUpload(deps: VideoUploadDeps): VideoUpload {
  const { store, now, fetch: send, onPart, waitMs = firstWaitMs } = deps;
  let { recording } = deps;
  let finished = false;
  let resume = () => {};
  let retry = () => {};

  /** Sends a part, repeatedly if necessary, until api.video answers. */
  const patiently = async (segments: readonly Segment[], isLast: boolean): Promise<Answer> => {
    for (let tries = 0; ; tries += 1) {
      const answer = await sendPart(recording, segments, isLast, send);
      if (answer.kind !== 'away' || now() > recording.expiresAt) return answer;
      const pauseMs = Math.max(answer.retryAfterMs, Math.min(longestWaitMs, waitMs * 2 ** tries));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs);
        retry = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };

  const run = async (): Promise<UploadOutcome> => {
    for (;;) {
      const isLastKnown = finished;
      const { segments, more } = await store.oldest(recording.videoId, minPartBytes);
      if (!more && !isLastKnown) {
        // A segment that was added during the read is found with the next one.
        if (!finished)
          await new Promise<void>((resolve) => {
            resume = resolve;
          });
        continue;
      }
      const last = segments.at(-1);
      if (!last) {
        await store.remove(recording.videoId);
        return { kind: 'empty' };
      }
      const answer = await patiently(segments, !more);
      if (answer.kind === 'away') return answer;
      if (answer.kind === 'refused' || !more) await store.remove(recording.videoId);
      if (answer.kind === 'refused') return answer;
      recording = { ...recording, sentParts: recording.sentParts + 1 };
      if (more) await store.sent(recording, last.index);
      onPart?.(segments.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
      if (!more) return { kind: 'uploaded', url: answer.url };
    }
  };
  return {
    outcome: run(),
    added: () => resume(),
    hurry: () => retry(),
    finish: () => {
      finished = true;
      resume();
      retry();
    },
  };
}
