import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import pg from 'pg';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import {
  allStored,
  callsOf,
  expectStoredAsSaid,
  fakeDevice,
  fakePermission,
  launchChromium,
  roomOf,
  soundWithoutPress,
} from '../support/room.ts';
import { endOf, machinesOf, platformOf, sessionBody, until } from '../support/session.ts';

/**
 * What candidates meet, with the shipped deadlines: devices, blocked sound, tabs and crashes, lost machines, links that do
 * not work, limits. Each test compares the stored transcript with what was said.
 */
describe('a candidate', () => {
  let stack: Stack;
  let browser: Browser;
  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 200, paceMs: 700, maxTurnMs: 1_500 } });
    browser = await launchChromium(stack);
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });

  const create = (more: Record<string, unknown> = {}) => platformOf(stack).createSession(sessionBody(more));
  const visit = async (context: BrowserContext, { join_url }: SessionView) => {
    const page = await context.newPage();
    await page.goto(join_url ?? '');
    return { page, room: roomOf(page) };
  };
  const english = (of = browser) => of.newContext({ locale: 'en-GB' });
  /** Says something more, ends the interview and compares. */
  const finish = async ({ room }: { room: ReturnType<typeof roomOf> }, { session_id }: SessionView) => {
    await room.hasAnswered((await room.answers()) + 1);
    await room.isCalm();
    await room.end();
    await room.waitFor(allStored);
    const ended = await expectStoredAsSaid(stack, session_id);
    expect([ended.status, ended.reason]).toEqual(['completed', 'ended_by_candidate']);
    return ended;
  };
  /** In the page: the microphone is a steady tone from now on. */
  const plugIn = (page: Page) =>
    page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext();
        const tone = context.createOscillator();
        const microphone = context.createMediaStreamDestination();
        tone.connect(microphone);
        tone.start();
        return microphone.stream;
      };
      navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
    });

  test('whose browser refuses the microphone is told to allow it, and takes part once it is allowed', async () => {
    const strict = await launchChromium(stack, { without: [fakePermission] });
    const context = await strict.newContext({ locale: 'en-GB', permissions: [] });
    const session = await create();
    const at = await visit(context, session);
    await at.room.start();
    await at.room.waitFor('Your browser does not let this page use the microphone');
    await context.grantPermissions(['microphone']);
    await at.room.start();
    await at.room.isRunning();
    await finish(at, session);
    await strict.close();
  });

  test('without a microphone is told so, and takes part once one is plugged in', async () => {
    const bare = await launchChromium(stack, { without: [fakeDevice] });
    const session = await create();
    const at = await visit(await english(bare), session);
    await at.room.start();
    await at.room.waitFor('We found no microphone');
    await plugIn(at.page);
    await at.room.start();
    await at.room.isRunning();
    await finish(at, session);
    await bare.close();
  });

  test('whose microphone the system takes is told so, and is heard again by a new track', async () => {
    const session = await create();
    const context = await english();
    await context.addInitScript(() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      const seen = window as unknown as { tracks: MediaStreamTrack[] };
      seen.tracks = [];
      navigator.mediaDevices.getUserMedia = async (constraints) => {
        const stream = await real(constraints);
        seen.tracks.push(...stream.getTracks());
        return stream;
      };
    });
    const at = await visit(context, session);
    await at.room.start();
    await at.room.hasAnswered();
    await at.page.evaluate(() => {
      const [track] = (window as unknown as { tracks: MediaStreamTrack[] }).tracks;
      if (!track) throw new Error('no track');
      track.enabled = false;
      Object.defineProperty(track, 'muted', { value: true });
      track.dispatchEvent(new Event('mute'));
    });
    await at.room.waitFor('Your device has muted the microphone');
    await at.room.isCalm();
    expect(await at.page.evaluate(() => (window as unknown as { tracks: unknown[] }).tracks.length)).toBe(2);
    await finish(at, session);
    expect(await callsOf(stack, session.session_id)).toHaveLength(1);
    await context.close();
  });

  /** A press by a script: the browser does not take it for one of the candidate. */
  const startByScript = () => {
    const timer = setInterval(() => {
      const start = document.querySelector<HTMLButtonElement>('[data-screen=lobby] button[data-primary]');
      if (!start || start.disabled) return;
      clearInterval(timer);
      start.click();
    }, 50);
  };

  // Chromium lets a page play that captures the microphone, unless its strictest policy is set.
  test('whose browser holds the sound back hears the interviewer after one press', async () => {
    const policy = '--autoplay-policy=user-gesture-required';
    const strict = await launchChromium(stack, { without: [soundWithoutPress], more: [policy] });
    const session = await create();
    const context = await english(strict);
    await context.addInitScript(startByScript);
    const page = await context.newPage();
    // Looking at the page would count as a press of the candidate's, so its socket is watched instead.
    const blocked = new Promise<void>((resolve) => {
      page.on('websocket', (socket) =>
        socket.on('framesent', ({ payload }) => {
          if (String(payload).includes('voice_blocked')) resolve();
        }),
      );
    });
    await page.goto(session.join_url ?? '');
    await blocked;
    const at = { page, room: roomOf(page) };
    await at.room.waitFor('Your browser is holding the sound back');
    expect(await at.room.answers()).toBe(0);
    await at.page.getByRole('button', { name: 'Turn on sound' }).click();
    await at.room.isCalm();
    await finish(at, session);
    await strict.close();
  });

  test('whose browser has its usual policy hears the interviewer at once', async () => {
    const usual = await launchChromium(stack, { without: [soundWithoutPress] });
    const session = await create();
    const context = await english(usual);
    await context.addInitScript(startByScript);
    const at = await visit(context, session);
    await at.room.hasAnswered();
    expect(await at.room.alert.isVisible()).toBe(false);
    await finish(at, session);
    await usual.close();
  });

  test('who opens the link in a second tab goes on there, and the first tab says so', async () => {
    const session = await create();
    const context = await english();
    const first = await visit(context, session);
    await first.room.start();
    await first.room.hasAnswered();
    const second = await visit(context, session);
    await second.room.start();
    await first.room.waitFor('opened in another tab or on another device');
    await second.room.isRunning();
    await finish(second, session);
    expect(await callsOf(stack, session.session_id)).toHaveLength(2);
    await context.close();
  });

  test('who reloads the page goes on in another call, and is not asked for anything again', async () => {
    const session = await create();
    const context = await english();
    const at = await visit(context, session);
    await at.room.start();
    await at.room.hasAnswered();
    await at.page.reload();
    await at.room.start();
    await at.room.isRunning();
    await finish(at, session);
    expect(await callsOf(stack, session.session_id)).toHaveLength(2);
    await context.close();
  });

  test('whose browser is killed goes on after starting it again', async () => {
    const session = await create();
    const profile = mkdtempSync(path.join(tmpdir(), 'greenroom-profile-'));
    const options = { executablePath: browserPath(), headless: true, args: browserArguments, locale: 'en-GB' };
    const before = await visit(await chromium.launchPersistentContext(profile, options), session);
    await before.room.start();
    await before.room.hasAnswered();
    await before.room.waitFor('Saved up to');
    // Chromium writes to disk up to five seconds later. Killed before that, it would be another browser to the service.
    await until('the secret of this browser is on disk', () => isStoredIn(profile, 'greenroom.browser'));
    process.kill(browserProcess(profile), 'SIGKILL');
    const again = await chromium.launchPersistentContext(profile, options);
    const after = await visit(again, session);
    await after.room.start();
    await after.room.isRunning();
    await finish(after, session);
    await again.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  });

  test('whose page crashes goes on in a new one, without another code', async () => {
    const session = await create();
    const context = await english();
    const before = await visit(context, session);
    await before.room.start();
    await before.room.hasAnswered();
    const crashed = before.page.waitForEvent('crash');
    void before.page.goto('chrome://crash').catch(() => undefined);
    await crashed;
    const after = await visit(context, session);
    await after.room.start();
    await after.room.isRunning();
    await finish(after, session);
    await context.close();
  });

  test('whose machine is killed keeps the call, and saving catches up on the next machine', async () => {
    const session = await create();
    const context = await english();
    const at = await visit(context, session);
    await at.room.start();
    await at.room.hasAnswered();
    const machine = machinesOf(stack, session.session_id).find(({ state }) => state === 'started');
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    await at.room.waitFor('Saving is behind');
    await at.room.waitFor('Saved up to');
    const ended = await finish(at, session);
    expect(ended.epoch).toBe(2);
    expect(await callsOf(stack, session.session_id)).toHaveLength(1);
    await context.close();
  });

  test('is warned before the time is up, and every word until then is stored', async () => {
    const session = await create({ max_duration_minutes: 1 });
    const context = await english();
    const at = await visit(context, session);
    await at.room.start();
    await at.room.waitFor('About one minute is left.');
    expect(await at.room.ended()).toBe('completed/max_duration');
    await at.room.waitFor('The time is up.');
    await at.room.waitFor(allStored);
    expect((await expectStoredAsSaid(stack, session.session_id)).reason).toBe('max_duration');
    await context.close();
  });

  test('whose network lets no sound through is told why, and the session ends within two minutes', async () => {
    const session = await create();
    const context = await english();
    await context.addInitScript(() => {
      const Real = window.RTCPeerConnection;
      window.RTCPeerConnection = class extends Real {
        constructor(configuration?: RTCConfiguration) {
          super({ ...configuration, iceTransportPolicy: 'relay' });
        }
      } as typeof RTCPeerConnection;
    });
    const at = await visit(context, session);
    await at.room.start();
    await at.room.waitFor('You are not heard right now');
    expect(await at.room.ended()).toBe('failed/call_not_established');
    await at.room.waitFor('No sound got through your network.');
    // The interviewer spoke, and nobody heard it: none of it is part of the interview.
    await endOf(stack, session.session_id);
    expect((await platformOf(stack).transcript(session.session_id)).entries).toEqual([]);
    await context.close();
  }, 240_000);

  test('is told what is wrong with a link that does not work, and nothing begins', async () => {
    const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
    await db.connect();
    const expire = ({ session_id }: SessionView) =>
      db.query("update public.session_invitations set expires_at = now() - interval '1 s' where session_id = $1", [
        session_id,
      ]);
    const use = async (session: SessionView) => {
      const context = await english();
      const other = await visit(context, session);
      await other.room.start();
      await other.room.isRunning();
      await context.close();
    };
    const another = await create();
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const linkOf = ({ join_url }: SessionView) => join_url ?? '';
    type Case = {
      words: string;
      link?(session: SessionView): string;
      before?(session: SessionView): Promise<unknown>;
      more?: Record<string, unknown>;
      starts?: boolean;
    };
    const cases: Record<string, Case> = {
      'without its code': {
        words: 'Part of the invitation link is missing',
        link: (s) => linkOf(s).replace(/#.*/, ''),
      },
      'cut short': { words: 'This invitation link no longer works', link: (s) => linkOf(s).slice(0, -8) },
      'of no session': {
        words: 'This invitation link no longer works',
        link: (s) => linkOf(s).replace(s.session_id, randomUUID()),
      },
      foreign: {
        words: 'This invitation link no longer works',
        link: (s) => linkOf(s).replace(s.session_id, another.session_id),
      },
      expired: { words: 'This invitation link no longer works', before: expire },
      used: { words: 'Your interview is open on another device', before: use },
      over: {
        words: 'Your organiser ended the interview.',
        before: ({ session_id }) => platformOf(stack).deleteSession(session_id),
      },
      early: { words: 'Your interview opens at', more: { scheduled_at: later }, starts: true },
    };
    for (const [name, { words, link = linkOf, before, more, starts }] of Object.entries(cases)) {
      const session = await create(more);
      await before?.(session);
      const context = await english();
      const page = await context.newPage();
      await page.goto(link(session));
      const room = roomOf(page);
      if (starts) await room.start();
      await room.waitFor(words);
      if (!starts) expect(await page.getByRole('button', { name: 'Start the interview' }).count(), name).toBe(0);
      await context.close();
      await platformOf(stack).deleteSession(session.session_id);
      const ended = await expectStoredAsSaid(stack, session.session_id);
      if (name !== 'used') expect([name, ended.status]).toEqual([name, 'cancelled']);
    }
    await platformOf(stack).deleteSession(another.session_id);
    await expectStoredAsSaid(stack, another.session_id);
    await db.end();
  });
});

/** Whether the browser has written this key of a page's `localStorage` to disk. */
function isStoredIn(profile: string, key: string): boolean {
  const dir = path.join(profile, 'Default/Local Storage/leveldb');
  return readdirSync(dir).some((file) => readFileSync(path.join(dir, file)).includes(key));
}

/** The main process of the browser with this profile. */
function browserProcess(profile: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const command = (() => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })();
    if (command.includes(profile) && !command.includes('--type=')) return Number(pid);
  }
  throw new Error('the browser does not run');
}

describe('a candidate behind a busy address', () => {
  test('waits in words while the service limits requests, and then takes part', async () => {
    const stack = await startStack({
      voice: { turns: 2, paceMs: 300, maxTurnMs: 1_500 },
      environment: { JOIN_ADDRESS_PER_MINUTE: '3' },
    });
    const browser = await launchChromium(stack);
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await (await browser.newContext({ locale: 'en-GB' })).newPage();
    let limited = 0;
    page.on('response', (answer) => {
      if (answer.status() === 429) limited += 1;
    });
    for (let looks = 0; looks < 4; looks += 1) {
      await page.goto('about:blank');
      await page.goto(session.join_url ?? '');
      await page.waitForResponse(/api\/join/);
    }
    const room = roomOf(page);
    await until('the service refuses', () => limited > 0);
    await room.waitFor('Something went wrong on our side');
    await room.waitFor('Ready when you are.');
    await room.start();
    expect(await room.ended()).toBe('completed/interviewer_finished');
    await expectStoredAsSaid(stack, session.session_id);
    await browser.close();
    await stack.stop();
  });
});
