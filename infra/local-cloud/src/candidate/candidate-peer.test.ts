import { afterEach, describe, expect, it, vi } from 'vitest';
import { startVoiceProvider } from '../voice/provider.ts';
import { createCandidatePeer } from './candidate-peer.ts';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function connect() {
  const provider = await startVoiceProvider({ silenceMs: 80, paceMs: 100 });
  const peer = createCandidatePeer();
  cleanups.push(provider.stop, peer.close);
  const body = new FormData();
  body.set('sdp', await peer.offer());
  const headers = { authorization: `Bearer ${provider.apiKey}` };
  const response = await fetch(`${provider.url}/v1/realtime/calls`, { method: 'POST', headers, body });
  await peer.accept(await response.text());
  await peer.connected;
  return { provider, peer };
}

describe('a headless candidate', () => {
  it('offers Opus audio and a data channel, with its candidates in the offer', async () => {
    const peer = createCandidatePeer();
    cleanups.push(peer.close);
    const offer = await peer.offer();
    expect(offer).toMatch(/m=audio/);
    expect(offer).toMatch(/opus\/48000\/2/);
    expect(offer).toMatch(/m=application .*webrtc-datachannel/);
    expect(offer).toMatch(/a=candidate:.* 127\.0\.0\.1 /);
  });

  it('sends a packet every 20 ms while it speaks, and hardly any while it is silent', async () => {
    const { provider, peer } = await connect();
    const before = peer.stats.packetsSent;
    const startedMs = performance.now();
    peer.speak(400);
    await vi.waitFor(() => expect(peer.stats.packetsSent - before).toBeGreaterThanOrEqual(18), { timeout: 20_000 });
    expect(performance.now() - startedMs).toBeGreaterThan(300);
    await vi.waitFor(() => expect(provider.calls()[0]?.packetsReceived).toBeGreaterThanOrEqual(18));
    expect(peer.stats.packetsSent - before).toBeLessThan(26);
  });

  it('reports when the other side has disconnected', async () => {
    const { provider, peer } = await connect();
    await provider.stop();
    await peer.closed;
  });

  it('rejects `connected` when it is closed first', async () => {
    const peer = createCandidatePeer();
    await peer.offer();
    await peer.close();
    await expect(peer.connected).rejects.toThrow('closed');
  });
});
