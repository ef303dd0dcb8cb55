import type { Network } from './types.ts';

/**
 * The network quality of a call, computed from the browser's statistics. Pure.
 * Loss is the greater of both directions. Jitter is that of the interviewer's audio. The round-trip time is to the voice provider.
 */
export interface Measured {
  received: number;
  lost: number;
  jitterMs: number | null;
  rttMs: number | null;
  relayed: boolean | null;
  /** Energy of the candidate's sound so far; null where the browser does not measure it. */
  energy: number | null;
  /** Share of the candidate's audio packets that the provider has missed lately, 0–1. */
  upLoss: number | null;
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
  const ofAudio = (type: string) => stats.find((stat) => stat.type === type && stat.kind === 'audio');
  const audio = ofAudio('inbound-rtp');
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
    energy: number(ofAudio('media-source')?.totalAudioEnergy),
    upLoss: number(ofAudio('remote-inbound-rtp')?.fractionLost),
  };
}

export function judge(before: Measured | undefined, now: Measured): Network {
  const received = now.received - (before?.received ?? 0);
  const lost = Math.max(0, now.lost - (before?.lost ?? 0));
  // During silence the provider may send no packets. Then the loss of its audio is unknown.
  const loss = received + lost > 0 ? lost / (received + lost) : null;
  const { rttMs, relayed, upLoss } = now;
  const lossPercent = loss === null && upLoss === null ? null : Math.round(100 * Math.max(loss ?? 0, upLoss ?? 0));
  return { quality: qualityOf(rttMs, lossPercent, now.jitterMs), rttMs, lossPercent, relayed };
}

function qualityOf(rttMs: number | null, lossPercent: number | null, jitterMs: number | null): Network['quality'] {
  if (rttMs === null && lossPercent === null) return 'unknown';
  if ((rttMs ?? 0) > 500 || (lossPercent ?? 0) > 8 || (jitterMs ?? 0) > 80) return 'poor';
  if ((rttMs ?? 0) > 250 || (lossPercent ?? 0) > 2 || (jitterMs ?? 0) > 40) return 'fair';
  return 'good';
}
