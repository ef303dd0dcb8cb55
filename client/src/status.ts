import { closeCodes } from '@greenroom/shared/protocol/socket-values.ts';
import type { CallState } from './calls.ts';
import type { SocketState } from './socket.ts';
import type { Ended, Status, Turn } from './types.ts';

/** Everything the status follows from. */
export interface StatusFacts {
  phase: 'idle' | 'joining' | 'running' | 'ended';
  ended: (Ended & { at: number }) | undefined;
  /** What joining waits for; null: nothing. */
  waitingFor: 'start_time' | 'service' | null;
  ending: boolean;
  callState: CallState;
  socketState: SocketState;
  /** Close code of the last socket. */
  closeCode: number | undefined;
  /** A call was up before. */
  wasLive: boolean;
  paused: boolean;
  turn: Turn;
  /** Now, Unix ms. */
  since: number;
}

export function statusOf(facts: StatusFacts): Status {
  const { phase, ended, waitingFor, since, callState: call, socketState: socket } = facts;
  if (ended) return { name: 'ended', ...ended };
  if (phase === 'idle') return { name: 'idle' };
  if (phase === 'joining') return waitingFor ? { name: 'waiting', for: waitingFor, since } : { name: 'joining', since };
  if (facts.ending) return { name: 'ending', since };
  if (call === 'up') return { name: 'live', turn: facts.paused ? 'paused' : facts.turn, since };
  const isReachable = socket === 'ready';
  if (facts.wasLive) return { name: 'reconnecting', lost: isReachable ? 'audio' : 'both', since };
  if (!isReachable && facts.closeCode === closeCodes.notReady) return { name: 'waiting', for: 'machine', since };
  if (!isReachable) return { name: 'connecting', step: 'socket', since };
  const isOffering = call === 'none' || call === 'offering';
  return { name: 'connecting', step: isOffering ? 'offer' : 'audio', since };
}

/** Equal but for the time. */
export const isSameStatus = (a: Status, b: Status): boolean =>
  JSON.stringify({ ...a, since: 0 }) === JSON.stringify({ ...b, since: 0 });
