import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** What a page holds at present. `listeners` are those on the window, the document and the device list. */
export interface Held {
  tracks: number;
  sockets: number;
  peers: number;
  contexts: number;
  timers: number;
  frames: number;
  locks: number;
  listeners: number;
}

const nothing: Held = {
  tracks: 0,
  sockets: 0,
  peers: 0,
  contexts: 0,
  timers: 0,
  frames: 0,
  locks: 0,
  listeners: 0,
};

/** Runs in the page before its own scripts: wraps what can be opened, so that `held` can count it. */
export function countHeld(): void {
  const tracks: MediaStreamTrack[] = [];
  const sockets: WebSocket[] = [];
  const peers: RTCPeerConnection[] = [];
  const contexts: AudioContext[] = [];
  const locks: WakeLockSentinel[] = [];
  const timers = new Set<unknown>();
  const frames = new Set<number>();
  const listeners = new Map<string, Set<unknown>>();

  const listing = <C extends new (...parameters: never[]) => object>(Real: C, list: Array<InstanceType<C>>): C =>
    new Proxy(Real, {
      construct: (target, parameters) => {
        const made = Reflect.construct(target, parameters) as InstanceType<C>;
        list.push(made);
        return made;
      },
    });
  window.WebSocket = listing(window.WebSocket, sockets);
  window.RTCPeerConnection = listing(window.RTCPeerConnection, peers);
  window.AudioContext = listing(window.AudioContext, contexts);
  const media = navigator.mediaDevices;
  const getUserMedia = media.getUserMedia.bind(media);
  media.getUserMedia = async (constraints) => {
    const stream = await getUserMedia(constraints);
    tracks.push(...stream.getTracks());
    return stream;
  };
  const clone = MediaStreamTrack.prototype.clone;
  MediaStreamTrack.prototype.clone = function () {
    const copy = clone.call(this);
    tracks.push(copy);
    return copy;
  };
  if (navigator.wakeLock) {
    const request = navigator.wakeLock.request.bind(navigator.wakeLock);
    navigator.wakeLock.request = async (type) => {
      const lock = await request(type);
      locks.push(lock);
      return lock;
    };
  }

  const global = globalThis as unknown as Record<string, (...parameters: unknown[]) => unknown>;
  const { setTimeout: after, setInterval: every, clearTimeout: forget, clearInterval: stop } = global;
  global.setTimeout = (work, ms, ...more) => {
    const id = after?.(
      (...got: unknown[]) => {
        timers.delete(id);
        (work as (...parameters: unknown[]) => void)(...got);
      },
      ms,
      ...more,
    );
    timers.add(id);
    return id;
  };
  global.setInterval = (...parameters) => {
    const id = every?.(...parameters);
    timers.add(id);
    return id;
  };
  global.clearTimeout = (id) => {
    timers.delete(id);
    return forget?.(id);
  };
  global.clearInterval = (id) => {
    timers.delete(id);
    return stop?.(id);
  };
  const draw = window.requestAnimationFrame.bind(window);
  const undraw = window.cancelAnimationFrame.bind(window);
  window.requestAnimationFrame = (work) => {
    const id = draw((at) => {
      frames.delete(id);
      work(at);
    });
    frames.add(id);
    return id;
  };
  window.cancelAnimationFrame = (id) => {
    frames.delete(id);
    undraw(id);
  };

  // The test driver itself listens to `pointerdown`.
  const watched = ['online', 'offline', 'visibilitychange', 'devicechange', 'keydown', 'pagehide'];
  const add = EventTarget.prototype.addEventListener;
  const remove = EventTarget.prototype.removeEventListener;
  const isShared = (target: unknown) => target === window || target === document || target === media;
  EventTarget.prototype.addEventListener = function (this: EventTarget, type, listener, options) {
    if (isShared(this) && watched.includes(type)) listeners.set(type, (listeners.get(type) ?? new Set()).add(listener));
    return add.call(this, type, listener, options);
  };
  EventTarget.prototype.removeEventListener = function (this: EventTarget, type, listener, options) {
    if (isShared(this)) listeners.get(type)?.delete(listener);
    return remove.call(this, type, listener, options);
  };

  Object.assign(window, {
    held: () => ({
      tracks: tracks.filter(({ readyState }) => readyState === 'live').length,
      sockets: sockets.filter(({ readyState }) => readyState < WebSocket.CLOSED).length,
      peers: peers.filter(({ signalingState }) => signalingState !== 'closed').length,
      contexts: contexts.filter(({ state }) => state !== 'closed').length,
      timers: timers.size,
      frames: frames.size,
      locks: locks.filter(({ released }) => !released).length,
      listeners: [...listeners.values()].reduce((sum, { size }) => sum + size, 0),
    }),
  });
}

export const held = (page: Page): Promise<Held> => page.evaluate(() => (window as unknown as { held(): Held }).held());

/** Waits until nothing that the page opened is still open. */
export const expectNothingHeld = (page: Page) => expect.poll(() => held(page), { timeout: 60_000 }).toEqual(nothing);

/** During an interview each kind is in use: the counting works. */
export async function expectInUse(page: Page): Promise<void> {
  const { tracks, sockets, peers, contexts, timers, listeners } = await held(page);
  expect([tracks, sockets, peers, contexts]).toEqual([1, 1, 1, 1]);
  expect(Math.min(timers, listeners)).toBeGreaterThan(0);
}
