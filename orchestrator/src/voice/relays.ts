import { createHmac } from 'node:crypto';
import type { IceServer } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * The relays (TURN) through which a browser reaches the voice provider when its network lets no UDP through. The credentials
 * follow the REST scheme of coturn's `use-auth-secret`: the user name is `<expiry, Unix seconds>:<session id>`, the password its
 * HMAC-SHA1 under the secret that the relay shares. They are useless after the expiry, and the relay needs no list of users.
 */
export interface RelayConfig {
  servers: readonly IceServer[];
  /** Null: `servers` carry credentials of their own, or need none. */
  secret: string | null;
}

/** Reconnections after the maximum duration end within this time. */
const slackMs = 600_000;

const isRelay = ({ urls }: IceServer): boolean => urls.some((url) => /^turns?:/.test(url));

/** @param lifetimeMs of the session: its credentials outlive it by a little */
export function iceServersFor(
  sessionId: string,
  lifetimeMs: number,
  { servers, secret }: RelayConfig,
  clock: Pick<Clock, 'now'>,
): IceServer[] {
  if (secret === null) return [...servers];
  const username = `${Math.ceil((clock.now() + lifetimeMs + slackMs) / 1_000)}:${sessionId}`;
  const credential = createHmac('sha1', secret).update(username).digest('base64');
  return servers.map((server) =>
    isRelay(server) && server.credential === undefined ? { ...server, username, credential } : server,
  );
}
