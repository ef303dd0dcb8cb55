import type { Browser } from 'playwright-core';
import type { Stack } from '../../stack/stack.ts';
import { type Figure, median, percentile } from '../figures.ts';
import { create, english, figure, platformOf, remove } from './parts.ts';

const runs = 20;

/**
 * Runs in the page: the time from the press on "Start" to the first packet of the interviewer's audio, and from each speech
 * event of the provider to the frame that shows it.
 */
function noteVoice(): void {
  const seen = window as unknown as { pressedMs?: number; audioMs?: number; heardMs: number[] };
  seen.heardMs = [];
  addEventListener(
    'click',
    () => {
      seen.pressedMs ??= performance.now();
    },
    { capture: true },
  );
  let eventMs: number | undefined;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      const look = setInterval(async () => {
        const stats = [...(await this.getStats()).values()] as Array<Record<string, unknown>>;
        const voice = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
        if (!Number(voice?.packetsReceived)) return;
        seen.audioMs ??= performance.now();
        clearInterval(look);
      }, 10);
    }
    override createDataChannel(label: string, init?: RTCDataChannelInit) {
      const channel = super.createDataChannel(label, init);
      channel.addEventListener('message', ({ data }) => {
        if (JSON.parse(String(data)).type === 'input_audio_buffer.speech_started') eventMs = performance.now();
      });
      return channel;
    }
  };
  new MutationObserver(() => {
    const turn = document.querySelector<HTMLElement>('[data-part=stage]')?.dataset.turn;
    if (turn !== 'hearing' || eventMs === undefined) return;
    const sinceMs = eventMs;
    eventMs = undefined;
    requestAnimationFrame(() => seen.heardMs.push(performance.now() - sinceMs));
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-turn'] });
}

/** What a candidate waits for after pressing Start, with a ready worker. */
export async function joining(stack: Stack, browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
  const firstAudio: number[] = [];
  const heard: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const { link, session_id } = await create(stack);
    await platformOf(stack).waitFor(session_id, ({ status }) => status === 'ready', 60_000);
    const context = await english(browser);
    const page = await context.newPage();
    await page.addInitScript(noteVoice);
    await page.goto(link);
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.waitForFunction(() => 'audioMs' in window, undefined, { timeout: 60_000 });
    await page.waitForFunction(() => (window as unknown as { heardMs: number[] }).heardMs.length > 1, undefined, {
      timeout: 60_000,
    });
    const seen = await page.evaluate(() => {
      const {
        pressedMs = 0,
        audioMs = 0,
        heardMs,
      } = window as unknown as {
        pressedMs?: number;
        audioMs?: number;
        heardMs: number[];
      };
      return { voiceMs: audioMs - pressedMs, heardMs };
    });
    firstAudio.push(seen.voiceMs);
    heard.push(...seen.heardMs);
    progress(`join ${run + 1}/${runs}: first audio after ${seen.voiceMs.toFixed(0)} ms`);
    await context.close();
    await remove(stack, session_id);
  }
  return [
    figure('join until first audio, p50', median(firstAudio), 'ms', 1_000),
    figure('join until first audio, p95', percentile(firstAudio, 95), 'ms', 1_500),
    figure('speech event until it is shown, p95', percentile(heard, 95), 'ms', 300),
  ];
}
