/** Events of the browser about network and visibility, and the screen lock. All are inactive in Node. */
export interface PageSignals {
  onOffline(): void;
  /** Called when the network is back or the page is visible again. */
  onReturn(): void;
}

/** @returns a function that stops watching */
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
  /** Keeps the screen on. The browser releases the lock when the page is hidden; call this again when it is visible. */
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
