/**
 * The WebRTC peer of a realtime call, as the interview client needs it. In the browser it is `createBrowserPeer`; tests
 * and the demo bring one that runs in Node.
 */
export interface CallPeer {
  /** Makes the SDP offer: one audio track and the data channel `oai-events`. Call once. */
  offer(): Promise<string>;
  /** Applies the provider's answer. */
  accept(answerSdp: string): Promise<void>;
  /** Events of the provider's data channel, parsed. */
  onEvent(listener: (event: Record<string, unknown>) => void): void;
  /** `connected` once media flows and the data channel is open; `failed` when the connection is lost for good. */
  onState(listener: (state: 'connected' | 'failed') => void): void;
  close(): void;
}

export type PeerFactory = () => CallPeer | Promise<CallPeer>;
