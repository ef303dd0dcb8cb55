import { chromium } from 'playwright-core';

/** Starts Chromium with a synthetic microphone. It connects only to this machine. */
export const browserArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  '--allow-loopback-in-peer-connection',
  '--autoplay-policy=no-user-gesture-required',
];

/** Path of the browser that the set-up step found or installed. */
export function browserPath(): string {
  const found = process.env.CHROMIUM_PATH;
  if (!found)
    throw new Error(
      'No Chromium is known. Install one (Debian, Ubuntu: apt-get install chromium) or set CHROMIUM_PATH.',
    );
  return found;
}

/** Takes part in an interview on its join page; resolves with how it ended, as `outcome/reason`. */
export async function joinInBrowser(joinUrl: string, onStep: (step: string, detail: string) => void): Promise<string> {
  const browser = await chromium.launch({
    executablePath: browserPath(),
    headless: !process.env.DISPLAY,
    args: browserArguments,
  });
  try {
    const page = await browser.newPage();
    page.on('websocket', (socket) => {
      onStep('socket_open', 'Chromium');
      socket.on('framereceived', ({ payload }) => {
        const message = JSON.parse(String(payload)) as {
          type: string;
          final?: boolean;
          entry?: { speaker: string; text: string };
        };
        if (message.type === 'sdp_answer') onStep('sdp_answered', 'Chromium');
        if (message.type === 'transcript_entry' && message.final && message.entry?.text) {
          onStep('said', `${message.entry.speaker === 'ai' ? 'Interviewer' : 'Candidate'}: ${message.entry.text}`);
        }
      });
    });
    await page.goto(joinUrl);
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.waitForFunction(() => document.body.dataset.ended !== undefined, undefined, { timeout: 600_000 });
    return (await page.evaluate(() => document.body.dataset.ended)) ?? '';
  } finally {
    await browser.close();
  }
}
