import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import type { Measured } from './network.ts';
import type { CallPeer, Network } from './types.ts';

/**
 * Measures the call that is up every two seconds, and reports every fifth measurement to the worker. The computation is
 * loaded with the first measurement.
 */
export interface NetworkWatch {
  start(): void;
  stop(): void;
}

export interface NetworkWatchDeps {
  /** The peer of the call that is up. */
  peer(): CallPeer | undefined;
  problem(): string | null;
  send(message: ClientMessage): boolean;
  onNetwork(network: Network): void;
}

const measureMs = 2_000;
const measuresPerReport = 5;

export function createNetworkWatch({ peer, problem, send, onNetwork }: NetworkWatchDeps): NetworkWatch {
  let before: { of: CallPeer; measured: Measured } | undefined;
  let measures = 0;
  let timer: ReturnType<typeof setInterval> | undefined;

  const report = (network: Network, { jitterMs }: Measured) =>
    send({
      type: 'client_stats',
      quality: network.quality,
      rtt_ms: network.rttMs,
      loss_percent: network.lossPercent,
      jitter_ms: jitterMs,
      relayed: network.relayed,
      problem: problem(),
    });
  const once = async () => {
    const measuredPeer = peer();
    if (!measuredPeer) return;
    const [stats, { judge, measure }] = await Promise.all([measuredPeer.stats?.(), import('./network.ts')]);
    if (!stats || measuredPeer !== peer()) return;
    const current = measure(stats);
    // The counters of a new call begin at zero.
    const network = judge(before?.of === measuredPeer ? before.measured : undefined, current);
    before = { of: measuredPeer, measured: current };
    onNetwork(network);
    measures += 1;
    if (measures % measuresPerReport === 1) report(network, current);
  };
  return {
    start: () => {
      timer = setInterval(() => void once().catch(() => undefined), measureMs);
    },
    stop: () => clearInterval(timer),
  };
}
