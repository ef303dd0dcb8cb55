import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMicrophone } from './microphone.ts';
import { createProblems, type ProblemCode } from './problems.ts';
import { FakeDevices, FakePage, type FakeTrack, settled } from './testing/fakes.ts';

function begin(devices: FakeDevices | undefined = new FakeDevices()) {
  const told: Array<ProblemCode | null> = [];
  const sent: FakeTrack[] = [];
  const page = new FakePage();
  const problems = createProblems({ onChange: (code) => void told.push(code) });
  const microphone = createMicrophone({
    problems,
    devices: devices as unknown as MediaDevices,
    page: page as unknown as Document,
  });
  microphone.onTrack((track) => sent.push(track as unknown as FakeTrack));
  return { devices: devices as FakeDevices, page, problems, told, sent, microphone };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('the microphone', () => {
  test('a microphone whose track ends is replaced, and microphone_lost is raised until then', async () => {
    const { devices, told, sent, microphone } = begin();
    await microphone.open();
    devices.tracks[0]?.end();
    expect(told).toEqual(['microphone_lost']);
    await settled();
    expect(sent).toEqual(devices.tracks);
    expect(microphone.track).toBe(devices.tracks[1]);
    expect(told).toEqual(['microphone_lost', null]);
  });

  test('a microphone that could not be replaced is requested again when the devices change', async () => {
    const { devices, told, microphone } = begin();
    await microphone.open();
    devices.answers.push('NotFoundError');
    devices.tracks[0]?.end();
    await settled();
    expect(told).toEqual(['microphone_lost']);
    devices.change();
    await settled();
    expect([told, microphone.track?.readyState]).toEqual([['microphone_lost', null], 'live']);
  });

  test('a microphone that could not be replaced is requested again when the candidate returns to the page', async () => {
    const { devices, page, problems, microphone } = begin();
    await microphone.open();
    devices.answers.push('NotReadableError');
    devices.tracks[0]?.end();
    await settled();
    page.show();
    await settled();
    expect([problems.current, devices.asked.length]).toEqual([null, 3]);
  });

  test('a microphone that works is not requested again when the devices change', async () => {
    const { devices, microphone } = begin();
    await microphone.open();
    devices.change();
    await settled();
    expect(devices.asked).toHaveLength(1);
  });

  test('a microphone that the system mutes raises microphone_muted, and is replaced after two seconds', async () => {
    const { devices, told, microphone } = begin();
    await microphone.open();
    devices.tracks[0]?.setMuted(true);
    await vi.advanceTimersByTimeAsync(1_000);
    devices.tracks[0]?.setMuted(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect([told, devices.asked.length]).toEqual([['microphone_muted', null], 1]);
    devices.tracks[0]?.setMuted(true);
    await vi.advanceTimersByTimeAsync(2_500);
    expect([microphone.track, devices.asked.length]).toEqual([devices.tracks[1], 2]);
    expect(devices.tracks[0]?.readyState).toBe('ended');
  });

  test.each([
    ['NotAllowedError', 'microphone_denied'],
    ['NotFoundError', 'microphone_missing'],
    ['NotReadableError', 'microphone_busy'],
  ])('a microphone refused with %s raises %s until the microphone works', async (name, code) => {
    const { devices, told, microphone } = begin();
    devices.answers.push(name);
    await expect(microphone.open()).rejects.toMatchObject({ code });
    await microphone.open();
    expect(told).toEqual([code, null]);
  });

  test('a microphone that fails for a second reason raises only the newer problem', async () => {
    const { devices, told, microphone } = begin();
    devices.answers.push('NotAllowedError', 'NotReadableError');
    await microphone.open().catch(() => undefined);
    await microphone.open().catch(() => undefined);
    expect(told).toEqual(['microphone_denied', null, 'microphone_busy']);
  });

  test('a track that arrives after a later request or after the end is stopped and not used', async () => {
    const { devices, sent, microphone } = begin();
    let late = () => {};
    devices.answers.push(new Promise<void>((resolve) => (late = resolve)));
    const first = microphone.open('old');
    await microphone.open('new');
    late();
    await first;
    expect(sent.map(({ label }) => label)).toEqual(['microphone 1']);
    expect(devices.tracks.map(({ readyState }) => readyState)).toEqual(['live', 'ended']);
    devices.answers.push(new Promise<void>((resolve) => (late = resolve)));
    const last = microphone.open();
    microphone.close();
    late();
    await last;
    expect(devices.tracks.map(({ readyState }) => readyState)).toEqual(['ended', 'ended', 'ended']);
  });

  test('the microphone is unsupported in a browser without mediaDevices', async () => {
    const problems = createProblems({ onChange: () => undefined });
    const page = new FakePage() as unknown as Document;
    const microphone = createMicrophone({ problems, devices: undefined, page });
    await expect(microphone.open()).rejects.toMatchObject({ code: 'unsupported' });
  });
});
