import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, it, vi } from 'vitest';
import { candidate, interview, start } from './fixtures.ts';
import { createLine, isAudio, type LineFault } from './line.ts';

const audio = Uint8Array.of(0x80, 111);
const stun = Uint8Array.of(0, 1);

/** Which of ten datagrams have arrived, and after how many milliseconds. */
async function arrivals(fault: LineFault, random: () => number, datagram = audio) {
  const clock = createFakeClock();
  const line = createLine({ clock, fault, random });
  const arrived: Array<[number, number]> = [];
  for (let number = 0; number < 10; number += 1)
    line.pass('to_candidate', datagram, () => arrived.push([number, clock.monotonicMs()]));
  await clock.advance(1_000);
  return arrived;
}
const countingUp = () => {
  let next = 0;
  return () => (next++ % 10) / 10;
};

describe('the network of a call', () => {
  it('loses and delays datagrams as its fault says, and with jitter they overtake each other', async () => {
    expect(await arrivals({}, countingUp())).toHaveLength(10);
    // Two numbers are drawn for each datagram that arrives: whether it is lost, and how late it is.
    expect(await arrivals({ loss: 0.5 }, countingUp())).toHaveLength(3);
    expect(new Set((await arrivals({ delayMs: 300 }, countingUp())).map(([, atMs]) => atMs))).toEqual(new Set([300]));
    const jittered = await arrivals({ delayMs: 100, jitterMs: 400 }, countingUp());
    expect(jittered).toHaveLength(10);
    expect(jittered.map(([number]) => number)).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(Math.min(...jittered.map(([, atMs]) => atMs))).toBeGreaterThanOrEqual(100);
  });

  it('with one-way sound lets everything pass but the audio of that direction', async () => {
    expect(await arrivals({ silent: 'to_candidate' }, countingUp())).toEqual([]);
    expect(await arrivals({ silent: 'to_candidate' }, countingUp(), stun)).toHaveLength(10);
    expect(await arrivals({ silent: 'from_candidate' }, countingUp())).toHaveLength(10);
    const rtcp = Uint8Array.of(0x80, 200);
    const dtls = Uint8Array.of(22, 254);
    expect([audio, rtcp, stun, dtls].map(isAudio)).toEqual([true, false, false, false]);
  });
});

describe('a call on a bad network', () => {
  it('in which no sound comes from the candidate hears nothing and stays connected, until the network is whole', async () => {
    const provider = await start();
    const peer = candidate();
    const { sideband, snapshot, callId } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.stopped');
    provider.script.line(callId, { silent: 'from_candidate' });
    const before = snapshot()?.packetsReceived;
    const sent = peer.stats.packetsSent;
    peer.speak(600);
    await vi.waitFor(() => expect(peer.stats.packetsSent).toBeGreaterThan(sent + 25));
    expect(snapshot()).toMatchObject({ packetsReceived: before, connected: true });
    expect(sideband.events.some(({ type }) => type === 'input_audio_buffer.speech_started')).toBe(false);
    provider.script.line(callId, undefined);
    peer.speak(300);
    await sideband.event('input_audio_buffer.speech_started');
  });

  it('that begins without sound for the candidate sends them its events and no audio', async () => {
    const provider = await start();
    const value: LineFault = { silent: 'to_candidate' };
    provider.faults.add({ on: 'realtime.line', action: { kind: 'special', name: 'line', value } });
    const seen: string[] = [];
    const peer = candidate({ onEvent: ({ type }) => seen.push(type) });
    const { snapshot } = await interview(provider, peer);
    await vi.waitFor(() => expect(seen).toContain('output_audio_buffer.stopped'));
    expect(snapshot()?.packetsSent).toBeGreaterThan(0);
    expect(peer.stats.packetsReceived).toBe(0);
  });
});
