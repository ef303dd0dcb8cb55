import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import { createMeterEnergy, type MeterEnergy } from './meter-energy.ts';
import { judge, type Measured, measure } from './network.ts';
import { createOneWay, type OneWayDeps } from './one-way.ts';
import type { CallPeer, Network, Turn } from './types.ts';

/**
 * What follows from the measurements of a call: its network quality, of which every fifth is reported to the worker, and
 * the problems `network_weak` (two poor measurements in a row, until most were better for a while), `voice_missing` and
 * `not_heard` (one-way.ts).
 */
export interface Measurements {
  /** @param isHeard whether the provider has noticed speech of the candidate since the last measurement */
  take(peer: CallPeer, stats: Iterable<Record<string, unknown>>, isHeard: boolean): void;
  stop(): void;
}

export interface MeasurementsDeps extends OneWayDeps {
  turn(): Turn;
  /** Root mean square of the candidate's sound now, 0–1. */
  volume(): number;
  send(message: ClientMessage): boolean;
  onNetwork(network: Network): void;
}

const measuresPerReport = 5;
/** Poor measurements, less the better ones since: from this number on the network is weak. */
const weakFrom = 2;
const weakMost = 4;

export function createMeasurements(deps: MeasurementsDeps): Measurements {
  const { problems, turn, send, onNetwork } = deps;
  const oneWay = createOneWay(deps);
  let before: { of: CallPeer; measured: Measured } | undefined;
  let meter: MeterEnergy | undefined;
  let meterBefore = 0;
  let measures = 0;
  let weak = 0;

  const report = (network: Network, { jitterMs }: Measured) =>
    send({
      type: 'client_stats',
      quality: network.quality,
      rtt_ms: network.rttMs,
      loss_percent: network.lossPercent,
      jitter_ms: jitterMs,
      relayed: network.relayed,
      problem: problems.current,
    });
  const note = ({ quality }: Network) => {
    weak = Math.max(0, Math.min(weakMost, weak + (quality === 'poor' ? 1 : -1)));
    if (weak >= weakFrom) problems.raise('network_weak');
    if (weak === 0) problems.settle('network_weak');
  };
  /** Since the last measurement. */
  const energySince = ({ energy }: Measured, last: Measured | undefined): number => {
    if (energy !== null) return energy - (last?.energy ?? 0);
    meter ??= createMeterEnergy(deps.volume, () => performance.now());
    const { total } = meter;
    const since = total - meterBefore;
    meterBefore = total;
    return since;
  };
  return {
    stop: () => meter?.stop(),
    take: (peer, stats, isHeard) => {
      const now = measure(stats);
      // The counters of a new call begin at zero.
      const last = before?.of === peer ? before.measured : undefined;
      const network = judge(last, now);
      before = { of: peer, measured: now };
      onNetwork(network);
      note(network);
      oneWay.measured({
        turn: turn(),
        isHeard,
        received: now.received - (last?.received ?? 0),
        energy: energySince(now, last),
      });
      measures += 1;
      if (measures % measuresPerReport === 1) report(network, now);
    },
  };
}
