/** A signal that aborts when the time is up, or when an outer signal aborts. Unlike AbortSignal.timeout it can be restarted. */
export interface Limit {
  readonly signal: AbortSignal;
  /** True when the time was up before the outer signal aborted. */
  readonly isOver: boolean;
  restart(): void;
  /** Stops the timer and aborts the signal, which closes a connection that was not read to its end. */
  end(): void;
}

export function limit(ms: number, outer?: AbortSignal): Limit {
  const controller = new AbortController();
  let isOver = false;
  const expire = () => {
    isOver = !controller.signal.aborted;
    controller.abort(new Error(`nothing was received for ${ms} ms`));
  };
  const follow = () => controller.abort(outer?.reason);
  let timer = setTimeout(expire, ms);
  if (outer?.aborted) follow();
  outer?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    get isOver() {
      return isOver;
    },
    restart: () => {
      clearTimeout(timer);
      timer = setTimeout(expire, ms);
    },
    end: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', follow);
      controller.abort(new Error('over'));
    },
  };
}

/** Rejects with the reason of the signal as soon as it aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
