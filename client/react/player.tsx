import { useEffect, useId, useRef, useState } from 'react';
import { type ReviewMessages, reviewEn } from './review-messages.ts';
import type { ReviewEntry, ReviewRecording } from './review-types.ts';

/**
 * Plays a private recording in the video provider's own player, in a frame. The player takes commands as messages; their form
 * is that of `@api.video/player-sdk`.
 */
export interface RecordingPlayerProps {
  className?: string;
  recording: ReviewRecording;
  /**
   * Asks your backend for a new `watch_url`, because each works once. Called when the reviewer plays the recording. Default: the
   * recording's own, which can then be played once.
   */
  watchUrl?(videoId: string): Promise<string | null>;
  /** Plays from here. Each new object is a jump. */
  from?: { readonly seconds: number } | null;
  /** Default: English. */
  messages?: ReviewMessages;
}

let players = 0;

interface Player {
  src: string;
  origin: string;
  id: number;
}

/** The player's URL with the parameters that let this page control it. */
function playerOf(watchUrl: string): Player {
  players += 1;
  const url = new URL(watchUrl);
  url.hash = `api;sdkOrigin:${btoa(location.origin)};sdkPlayerId:${players}`;
  return { src: url.href, origin: url.origin, id: players };
}

export function RecordingPlayer(props: RecordingPlayerProps) {
  const { className, recording, watchUrl, from = null, messages = reviewEn } = props;
  const frame = useRef<HTMLIFrameElement>(null);
  const status = useId();
  const [player, setPlayer] = useState<Player | null>(null);
  const [isReady, setReady] = useState(false);
  const [failed, setFailed] = useState(false);
  const { video_id, watch_url } = recording;

  const load = async () => {
    setFailed(false);
    const url = await (watchUrl ? watchUrl(video_id) : Promise.resolve(watch_url)).catch(() => null);
    if (url && URL.canParse(url)) setPlayer(playerOf(url));
    else setFailed(true);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: another recording is another player
  useEffect(() => {
    setPlayer(null);
    setReady(false);
    setFailed(false);
  }, [video_id]);
  useEffect(() => {
    if (!player) return;
    const onMessage = ({ origin, data }: MessageEvent) => {
      if (origin === player.origin && data?.type === 'sdkSync' && Number(data.sdkPlayerId) === player.id)
        setReady(true);
    };
    addEventListener('message', onMessage);
    return () => removeEventListener('message', onMessage);
  }, [player]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each jump once
  useEffect(() => {
    if (from && !player) void load();
  }, [from]);
  useEffect(() => {
    if (!from || !player || !isReady) return;
    const send = (message: object) =>
      frame.current?.contentWindow?.postMessage({ ...message, sdkPlayerId: player.id }, player.origin);
    send({ message: 'setCurrentTime', currentTime: from.seconds });
    send({ message: 'play' });
  }, [from, player, isReady]);

  return (
    <div className={className} data-part="recording-player" data-state={player ? 'open' : 'closed'}>
      {player ? (
        <iframe
          ref={frame}
          src={player.src}
          title={messages.playerTitle}
          allow="autoplay; fullscreen; picture-in-picture"
          referrerPolicy="no-referrer"
        />
      ) : (
        <button type="button" aria-describedby={status} onClick={() => void load()}>
          {messages.play}
        </button>
      )}
      <p id={status} role="status">
        {failed ? messages.notPlayable : ''}
      </p>
    </div>
  );
}

/** An answer begins a little before its first word, and a call's begin is known to a second. */
const leadMs = 1_000;

/**
 * Where an entry is in the recordings: the one that began last before it. Undefined if it is in none, or if its time is not
 * trusted because the candidate's browser alone reported it.
 */
export function placeOf(
  { ordinal, start_ms, verified }: ReviewEntry,
  recordings: readonly ReviewRecording[],
): { recording: ReviewRecording; seconds: number } | undefined {
  if (!verified || start_ms === null) return undefined;
  const places = recordings.flatMap((recording) => {
    const begins = recording.calls.find((call) => call.ordinal === ordinal)?.begins_ms;
    const at = begins === undefined ? -1 : begins + start_ms;
    return at < 0 ? [] : [{ recording, at }];
  });
  const best = places.sort((a, b) => a.at - b.at)[0];
  return best && { recording: best.recording, seconds: Math.max(0, best.at - leadMs) / 1_000 };
}
