import path from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { until } from '../support/session.ts';

const preact = {
  react: 'preact/compat',
  'react-dom/client': 'preact/compat/client',
  'react/jsx-runtime': 'preact/jsx-runtime',
};

/** Development builds: only these mount twice in strict mode. */
async function bundle(alias: Record<string, string>): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { StrictMode } from 'react';
        import { createRoot } from 'react-dom/client';
        import { InterviewSession } from './react/index.ts';
        const root = createRoot(document.getElementById('room'));
        const link = { sessionId: 's1', websocketUrl: 'wss://interviews.test/ws/sessions/s1', joinToken: 'join' };
        root.render(<StrictMode><InterviewSession {...link} /></StrictMode>);
        window.unmount = () => root.unmount();`,
      loader: 'tsx',
      resolveDir: path.join(import.meta.dirname, '../../client'),
    },
    bundle: true,
    write: false,
    format: 'iife',
    jsx: 'automatic',
    alias,
    define: { 'process.env.NODE_ENV': '"development"' },
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}

interface Seen {
  sockets: Array<{ readyState: number }>;
  tracks: MediaStreamTrack[];
  unmount(): void;
}

/** Runs in the page: counts sockets and microphone tracks; no socket is ever answered. */
function countEverything(): void {
  const seen = window as unknown as Seen;
  seen.sockets = [];
  seen.tracks = [];
  window.WebSocket = class extends EventTarget {
    static readonly OPEN = 1;
    readyState = 0;
    constructor() {
      super();
      seen.sockets.push(this);
    }
    close() {
      this.readyState = 3;
    }
  } as unknown as typeof WebSocket;
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await real(constraints);
    seen.tracks.push(...stream.getTracks());
    return stream;
  };
}

describe.each([
  ['React', {}],
  ['preact/compat', preact],
])('a platform’s page built on %s', (_name, alias) => {
  let browser: Browser;
  let script: string;
  beforeAll(async () => {
    script = await bundle(alias);
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(() => browser.close());

  test('connects once in strict mode, and releases socket and microphone when it is unmounted', async () => {
    const page = await browser.newPage();
    await page.addInitScript(countEverything);
    await page.route('https://platform.test/**', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: '<!doctype html><title>Platform</title><main id="room"></main>',
      }),
    );
    await page.goto('https://platform.test/');
    await page.addScriptTag({ content: script });
    const count = () =>
      page.evaluate(() => {
        const { sockets, tracks } = window as unknown as Seen;
        return {
          sockets: sockets.length,
          open: sockets.filter(({ readyState }) => readyState < 3).length,
          live: tracks.filter(({ readyState }) => readyState === 'live').length,
        };
      });
    await until('it connects', async () => (await count()).sockets > 0);
    await page.waitForTimeout(500);
    expect(await count()).toEqual({ sockets: 1, open: 1, live: 1 });
    await page.evaluate(() => (window as unknown as Seen).unmount());
    await until('everything is released', async () => {
      const { open, live } = await count();
      return open + live === 0;
    });
    await page.close();
  });
});
