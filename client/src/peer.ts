/**
 * The WebRTC peer of a realtime call, as the SDK needs it. In the browser it is `createBrowserPeer`; tests and the demo
 * bring one that runs in Node.
 */
export interface CallPeer {
  /** Makes the SDP offer: one audio track and the data channel `oai-events`. Call once. */
  offer(): Promise<string>;
  /** Applies the provider's answer. */
  accept(answerSdp: string): Promise<void>;
  /** Events of the provider's data channel, parsed. */
  onEvent(listener: (event: Record<string, unknown>) => void): void;
  /**
   * `connected` once media flows and the data channel is open, and again after an interruption; `interrupted` while no
   * media gets through; `failed` when the connection is lost for good.
   */
  onState(listener: (state: 'connected' | 'interrupted' | 'failed') => void): void;
  /** What the browser measured, for the network's quality. */
  stats?(): Promise<Iterable<Record<string, unknown>>>;
  close(): void;
}

export type PeerFactory = () => CallPeer | Promise<CallPeer>;
