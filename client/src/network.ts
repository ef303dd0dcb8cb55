import type { Network } from './types.ts';

/**
 * The network quality of a call, computed from the browser's statistics. Pure.
 * Loss and jitter are those of the interviewer's audio; the round-trip time is to the voice provider.
 */
export interface Measured {
  received: number;
  lost: number;
  jitterMs: number | null;
  rttMs: number | null;
  relayed: boolean | null;
}

type Stat = Record<string, unknown>;
const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const asMs = (seconds: unknown): number | null => {
  const value = number(seconds);
  return value === null ? null : Math.round(value * 1_000);
};

export function measure(report: Iterable<Stat>): Measured {
  const stats = [...report];
  const byId = new Map(stats.map((stat) => [stat.id, stat]));
  const audio = stats.find((stat) => stat.type === 'inbound-rtp' && stat.kind === 'audio');
  const transport = stats.find((stat) => stat.type === 'transport');
  const chosen = transport && byId.get(transport.selectedCandidatePairId);
  const pair = chosen ?? stats.find((stat) => stat.type === 'candidate-pair' && stat.nominated === true);
  const local = pair && byId.get(pair.localCandidateId);
  return {
    received: number(audio?.packetsReceived) ?? 0,
    lost: number(audio?.packetsLost) ?? 0,
    jitterMs: asMs(audio?.jitter),
    rttMs: asMs(pair?.currentRoundTripTime),
    relayed: local ? local.candidateType === 'relay' : null,
  };
}

export function judge(before: Measured | undefined, now: Measured): Network {
  const received = now.received - (before?.received ?? 0);
  const lost = Math.max(0, now.lost - (before?.lost ?? 0));
  // During silence the provider may send no packets. Then the loss is unknown.
  const lossPercent = received + lost > 0 ? Math.round((100 * lost) / (received + lost)) : null;
  const { rttMs, relayed } = now;
  return { quality: qualityOf(rttMs, lossPercent, now.jitterMs), rttMs, lossPercent, relayed };
}

function qualityOf(rttMs: number | null, lossPercent: number | null, jitterMs: number | null): Network['quality'] {
  if (rttMs === null && lossPercent === null) return 'unknown';
  if ((rttMs ?? 0) > 500 || (lossPercent ?? 0) > 8 || (jitterMs ?? 0) > 80) return 'poor';
  if ((rttMs ?? 0) > 250 || (lossPercent ?? 0) > 2 || (jitterMs ?? 0) > 40) return 'fair';
  return 'good';
}
