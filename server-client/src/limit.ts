/** A signal that aborts when time is up, or when another one does. Unlike AbortSignal.timeout it can start again. */
export interface Limit {
  readonly signal: AbortSignal;
  /** True when time was up; false when the other signal came first, or neither has. */
  readonly isOver: boolean;
  restart(): void;
  /** Ends what still has the signal, such as a connection that was not read to its end. */
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
