import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createMeasurements, type Measurements } from './measurements.ts';
import { createProblems, type ProblemCode } from './problems.ts';
import type { CallPeer, Network, Turn } from './types.ts';

const aPeer = () => ({}) as CallPeer;
interface Counters {
  received?: number;
  lost?: number;
  /** Null: the browser does not measure it. */
  energy?: number | null;
  upLoss?: number;
  rttMs?: number;
}
const statsOf = ({ received = 0, lost = 0, energy = 0, upLoss = 0, rttMs = 20 }: Counters) => [
  { type: 'inbound-rtp', kind: 'audio', packetsReceived: received, packetsLost: lost, jitter: 0.004 },
  { type: 'remote-inbound-rtp', kind: 'audio', fractionLost: upLoss },
  { type: 'media-source', kind: 'audio', ...(energy === null ? {} : { totalAudioEnergy: energy }) },
  { type: 'candidate-pair', nominated: true, currentRoundTripTime: rttMs / 1_000 },
];

describe('the measurements of a call', () => {
  let turn: Turn;
  let peer: CallPeer;
  let replaced: number;
  let current: ProblemCode | null;
  let qualities: Array<Network['quality']>;
  let measurements: Measurements;
  let volume: number;
  beforeEach(() => {
    turn = 'listening';
    peer = aPeer();
    replaced = 0;
    volume = 0;
    current = null;
    qualities = [];
    measurements = createMeasurements({
      problems: createProblems({
        onChange: (code) => {
          current = code;
        },
      }),
      turn: () => turn,
      volume: () => volume,
      send: () => true,
      onNetwork: ({ quality }) => void qualities.push(quality),
      replaceCall: () => {
        replaced += 1;
        peer = aPeer();
      },
    });
  });
  const take = (counters: Counters, isHeard = false) => {
    measurements.take(peer, statsOf(counters), isHeard);
    return current;
  };

  test('two poor ones in a row mean a weak network, until most were better for a while', () => {
    expect([take({ rttMs: 700 }), take({ rttMs: 40 }), take({ rttMs: 700 })]).toEqual([null, null, null]);
    expect(take({ rttMs: 700 })).toBe('network_weak');
    take({ rttMs: 700 });
    expect([take({}), take({ rttMs: 700 }), take({}), take({})]).toEqual(Array(4).fill('network_weak'));
    expect([take({}), take({})].at(-1)).toBeNull();
  });

  test('audio lost in either direction counts, and counters of a call do not count for the next', () => {
    take({ received: 100 });
    take({ received: 180, lost: 20 });
    take({ received: 280, lost: 20, upLoss: 0.2 });
    expect(qualities).toEqual(['good', 'poor', 'poor']);
    peer = aPeer();
    take({ received: 60 });
    expect(qualities.at(-1)).toBe('good');
  });

  test('an interviewer who speaks without a packet is missed, and the call is replaced once for every two of them', () => {
    turn = 'speaking';
    expect([take({}), replaced]).toEqual([null, 0]);
    expect([take({}), replaced]).toEqual(['voice_missing', 1]);
    take({});
    turn = 'thinking';
    // It stays missing until a packet arrives.
    expect([take({}), replaced]).toEqual(['voice_missing', 1]);
    expect(take({ received: 12 })).toBeNull();
  });

  test('packets between two measurements of a speaking interviewer show that the voice is there', () => {
    turn = 'speaking';
    take({});
    take({ received: 3 });
    take({ received: 3 });
    expect([current, replaced]).toEqual([null, 0]);
  });

  test('a candidate who is loud three times in their turn without being noticed is not heard, until they are', () => {
    for (const energy of [1, 2]) take({ energy });
    expect(current).toBeNull();
    expect([take({ energy: 3 }), replaced]).toEqual(['not_heard', 1]);
    take({ energy: 0.5 });
    expect(current).toBe('not_heard');
    expect(take({ energy: 0.6 }, true)).toBeNull();
  });

  test('where the browser does not measure energy, the level meter is read while the call lasts', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    const measured = (loud: number) => {
      volume = loud;
      vi.advanceTimersByTime(2_000);
      return take({ energy: null });
    };
    // The meter is read from the first measurement on.
    expect([measured(0.1), measured(0.1), measured(0.1)]).toEqual([null, null, null]);
    expect([measured(0.1), replaced]).toEqual(['not_heard', 1]);
    expect(take({ energy: null }, true)).toBeNull();
    // A quiet room, however long.
    for (let round = 0; round < 9; round += 1) expect(measured(0.01)).toBeNull();
    measurements.stop();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  test('silence, noticed speech, and the turns of others are no sign of a candidate who is not heard', () => {
    for (let round = 0; round < 5; round += 1) take({ energy: 1 });
    take({ energy: 3 });
    take({ energy: 4 }, true);
    take({ energy: 5 });
    for (turn of ['hearing', 'thinking', 'speaking', 'paused'] as const) take({ energy: 6, received: 10 });
    turn = 'listening';
    for (const energy of [7, 8]) take({ energy, received: 20 });
    expect([current, replaced]).toEqual([null, 0]);
  });
});
