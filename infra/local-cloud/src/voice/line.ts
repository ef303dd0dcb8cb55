/**
 * The network between the candidate and the provider, for one call. It is whole unless a fault is set.
 *
 * - Loss, delay and jitter concern every datagram, in both directions: audio, data channel and connection
 *   checks, as on a bad network. With jitter, datagrams overtake each other.
 * - One-way sound concerns the audio packets alone: everything else passes, so the connection stays up.
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { RTCPeerConnection } from 'werift';

export interface LineFault {
  /** Share of the datagrams that are lost, 0–1. Default 0. */
  loss?: number;
  /** How much later each datagram arrives, milliseconds. Default 0. */
  delayMs?: number;
  /** By how much more, at most and by chance, milliseconds. Default 0. */
  jitterMs?: number;
  /** The direction in which no sound passes. Default: none. */
  silent?: 'from_candidate' | 'to_candidate';
}

export type Direction = 'from_candidate' | 'to_candidate';

export interface Line {
  /** Replaces the fault; undefined makes the line whole. What is delayed already still arrives late. */
  set(fault: LineFault | undefined): void;
  /** Delivers the datagram now, later or never. */
  pass(direction: Direction, datagram: Uint8Array, deliver: () => void): void;
  /** Drops what has not arrived yet. */
  stop(): void;
}

export interface LineDeps {
  clock: Clock;
  fault?: LineFault | undefined;
  /** Returns numbers in [0, 1). */
  random?: () => number;
}

export function createLine({ clock, fault: first, random = Math.random }: LineDeps): Line {
  const late = new Set<Timer>();
  let fault: LineFault = first ?? {};
  return {
    set: (next) => {
      fault = next ?? {};
    },
    pass: (direction, datagram, deliver) => {
      const { loss = 0, delayMs = 0, jitterMs = 0, silent } = fault;
      if (silent === direction && isAudio(datagram)) return;
      if (random() < loss) return;
      const laterMs = delayMs + random() * jitterMs;
      if (laterMs === 0) return deliver();
      const timer = clock.setTimer(() => {
        late.delete(timer);
        deliver();
      }, laterMs);
      late.add(timer);
    },
    stop: () => {
      for (const timer of late) timer.cancel();
      late.clear();
    },
  };
}

/** RTP by its first two bytes (RFC 7983 and RFC 5761): not STUN, DTLS or RTCP. */
export function isAudio([first = 0, second = 0]: Uint8Array): boolean {
  const payloadType = second & 0x7f;
  return first >= 128 && first <= 191 && (payloadType < 64 || payloadType > 95);
}

interface Transport {
  onData(datagram: Buffer, from: unknown): void;
  send(datagram: Buffer, to?: unknown): Promise<void>;
  readonly closed: boolean;
}

/** Lets all datagrams of this peer pass through the line. Call it when the peer's sockets are open. */
export function throughLine(connection: RTCPeerConnection, line: Line): void {
  for (const ice of connection.iceTransports) {
    // werift keeps its sockets private, and offers no place to stand between them and the network.
    const { protocols } = ice.connection as unknown as { protocols: Array<{ transport: Transport }> };
    for (const { transport } of protocols) {
      const receive = transport.onData.bind(transport);
      const send = transport.send.bind(transport);
      transport.onData = (datagram, from) => line.pass('from_candidate', datagram, () => receive(datagram, from));
      transport.send = async (datagram, to) => {
        line.pass('to_candidate', datagram, () => {
          if (!transport.closed) void send(datagram, to);
        });
      };
    }
  }
}
