import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';

/**
 * Where the candidate's video goes: hands the newest recording's upload token to the browser.
 *
 * V1  A recording takes one upload. A page that begins anew (it was reloaded, or opened elsewhere) cannot go on with the
 *     one before: the next is asked for with the heartbeats until it is there.
 * V2  Told once when it changes, and again whenever the browser comes back: it may not have been heard.
 */
export interface Video {
  /** For the heartbeat; undefined: what is made unasked will do. */
  readonly wantedOrdinal: number | undefined;
  /** A heartbeat's answer brought it. */
  offered(offer: VideoOffer): void;
  /** A page has initialised. `fresh`: for the first time. Tells it what there is for it (V2). */
  joined(fresh: boolean, send: (message: ServerMessage) => void): void;
}

export interface VideoDeps {
  /** To the candidate, when there. */
  send(message: ServerMessage): void;
  /** Whether another machine served the session before: it may have told a page of what is offered first. */
  resumed: boolean;
}

const maxOrdinal = 20;

export function createVideo({ send, resumed }: VideoDeps): Video {
  let newest: VideoOffer | undefined;
  let told = resumed;
  let wanted = 1;
  /** A fresh page after a change of machines: one more than is offered, whatever that is. */
  let wantsNext = false;

  const fits = (offer: VideoOffer | undefined): offer is VideoOffer => offer !== undefined && offer.ordinal >= wanted;
  const tell = (offer: VideoOffer, to: (message: ServerMessage) => void) => {
    told = true;
    const { token, video_id, expires_at } = offer;
    to({ type: 'video_token', token, video_id, expires_at: new Date(expires_at).toISOString() });
  };
  const wantNext = (ordinal: number) => {
    wanted = Math.min(maxOrdinal, ordinal + 1);
    wantsNext = false;
  };

  return {
    get wantedOrdinal() {
      return wanted > 1 ? wanted : undefined;
    },
    offered: (offer) => {
      if (wantsNext) wantNext(offer.ordinal);
      const changed = offer.ordinal !== newest?.ordinal || offer.token !== newest.token;
      newest = offer;
      if (changed && fits(offer)) tell(offer, send);
    },
    joined: (fresh, to) => {
      if (fresh && told && newest) wantNext(Math.max(newest.ordinal, wanted - 1));
      else if (fresh && told) wantsNext = true;
      if (fits(newest)) tell(newest, to);
    },
  };
}
