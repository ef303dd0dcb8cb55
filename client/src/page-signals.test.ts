import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createScreenLock, watchPage } from './page-signals.ts';
import { FakePage, FakeWakeLock, settled } from './testing/fakes.ts';

describe('the lock that keeps the screen on', () => {
  const begin = () => {
    const wakeLock = new FakeWakeLock();
    return { wakeLock, screen: createScreenLock(wakeLock as unknown as WakeLock) };
  };

  test('it is taken once and released', async () => {
    const { wakeLock, screen } = begin();
    screen.hold();
    screen.hold();
    await settled();
    screen.hold();
    await settled();
    expect(wakeLock.held).toBe(1);
    screen.release();
    await settled();
    expect(wakeLock.held).toBe(0);
  });

  test('it is taken again after the browser has released it', async () => {
    const { wakeLock, screen } = begin();
    screen.hold();
    await settled();
    await wakeLock.locks[0]?.release();
    screen.hold();
    await settled();
    expect([wakeLock.held, wakeLock.locks.length]).toEqual([1, 2]);
  });

  test('a lock that comes after the end is released at once', async () => {
    const { wakeLock, screen } = begin();
    screen.hold();
    screen.release();
    await settled();
    expect([wakeLock.held, wakeLock.locks.length]).toEqual([0, 1]);
  });

  test('a browser that refuses it or has none is no problem', async () => {
    const { wakeLock, screen } = begin();
    wakeLock.refuses = true;
    screen.hold();
    await settled();
    wakeLock.refuses = false;
    screen.hold();
    await settled();
    expect(wakeLock.held).toBe(1);
    expect(() => createScreenLock(undefined).hold()).not.toThrow();
  });
});

describe('the events of the page', () => {
  let page: FakePage;
  let window: EventTarget;
  beforeEach(() => {
    page = new FakePage();
    window = new EventTarget();
    vi.stubGlobal('document', page);
    vi.stubGlobal('window', window);
  });
  afterEach(() => vi.unstubAllGlobals());

  test('the network and the visibility are told until the watching stops', () => {
    const told: string[] = [];
    const stop = watchPage({ onOffline: () => told.push('offline'), onReturn: () => told.push('return') });
    const happen = () => {
      window.dispatchEvent(new Event('offline'));
      window.dispatchEvent(new Event('online'));
      page.visibilityState = 'hidden';
      page.dispatchEvent(new Event('visibilitychange'));
      page.show();
    };
    happen();
    expect(told).toEqual(['offline', 'return', 'return']);
    stop();
    happen();
    expect(told).toHaveLength(3);
  });
});
