/** What the browser tells about network, visibility and screen. In Node there is none of it, and nothing happens. */
export interface PageSignals {
  onOffline(): void;
  /** The network or the candidate is back. */
  onReturn(): void;
}

/** @returns how to stop watching */
export function watchPage({ onOffline, onReturn }: PageSignals): () => void {
  if (typeof window === 'undefined') return () => undefined;
  const onVisible = () => {
    if (document.visibilityState === 'visible') onReturn();
  };
  window.addEventListener('offline', onOffline);
  window.addEventListener('online', onReturn);
  document.addEventListener('visibilitychange', onVisible);
  return () => {
    window.removeEventListener('offline', onOffline);
    window.removeEventListener('online', onReturn);
    document.removeEventListener('visibilitychange', onVisible);
  };
}

export interface ScreenLock {
  /** Keeps the screen on. The browser lets go of it when the page is hidden: call it again on return. */
  hold(): void;
  release(): void;
}

export function createScreenLock(wakeLock: WakeLock | undefined = globalThis.navigator?.wakeLock): ScreenLock {
  let wanted = false;
  let held: WakeLockSentinel | undefined;
  const take = async () => {
    const lock = await wakeLock?.request('screen').catch(() => undefined);
    if (wanted && (!held || held.released)) held = lock;
    else void lock?.release().catch(() => undefined);
  };
  return {
    hold: () => {
      wanted = true;
      if (!held || held.released) void take();
    },
    release: () => {
      wanted = false;
      void held?.release().catch(() => undefined);
      held = undefined;
    },
  };
}
