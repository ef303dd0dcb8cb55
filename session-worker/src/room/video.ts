import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';

/**
 * Sends the upload token of the newest recording to the browser.
 *
 * - A recording takes one upload. A new page (reloaded, or opened elsewhere) cannot continue the upload of
 *   the old one: the heartbeats ask for the next recording until it is there.
 * - The token is sent when it changes and again whenever the browser reconnects, because it may not have
 *   arrived.
 */
export interface Video {
  /**
   * The recording that the heartbeat asks for; undefined when the first one, which is made without asking, is
   * enough.
   */
  readonly wantedOrdinal: number | undefined;
  /** A heartbeat's answer contained an upload token. */
  offered(offer: VideoOffer): void;
  /** A page has initialised; `fresh`: for the first time. Sends it the current token. */
  joined(fresh: boolean, send: (message: ServerMessage) => void): void;
}

export interface VideoDeps {
  /** Sends to the candidate's browser, if it is connected. */
  send(message: ServerMessage): void;
  /** Whether another machine served the session before: it may have sent the first token to a page. */
  resumed: boolean;
}

const maxOrdinal = 20;

export function createVideo({ send, resumed }: VideoDeps): Video {
  let newest: VideoOffer | undefined;
  let told = resumed;
  let wanted = 1;
  /** A new page came after a change of machines: ask for the recording after whichever is offered. */
  let wantsNext = false;

  const fits = (offer: VideoOffer | undefined): offer is VideoOffer => offer !== undefined && offer.ordinal >= wanted;
  const tell = (offer: VideoOffer, to: (message: ServerMessage) => void) => {
    told = true;
    const { ordinal: _ordinal, expires_at, ...rest } = offer;
    to({ type: 'video_token', ...rest, expires_at: new Date(expires_at).toISOString() });
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
