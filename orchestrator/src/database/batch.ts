import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Combines concurrent calls into one rpc.
 *
 * - A call is sent at once while fewer than `concurrency` batches are running; otherwise it joins the next batch. A single call
 *   therefore never waits, and batches grow with load.
 * - A batch that fails because of its content or its size is run again in halves, so that one bad call does not fail the others.
 *   This is safe only if the failed batch was rolled back; `isolate` decides that.
 * - A batch runs outside of the async context of its callers: it belongs to none of them alone.
 */
export interface BatcherOptions<In, Out> {
  /** Returns one result per item, in the same order. */
  run(items: In[]): Promise<Out[]>;
  /** Default 50. */
  maxBatch?: number;
  /** Maximum number of running batches. Default 1. */
  concurrency?: number;
  /** Whether a failed batch was rolled back and may be run again in halves. Default: never. */
  isolate?: (error: unknown) => boolean;
}

interface Waiting<In, Out> {
  item: In;
  resolve(out: Out): void;
  reject(error: unknown): void;
}

/** @returns a function that runs one item, in a batch with others that wait at the same time. */
export function createBatcher<In, Out>(options: BatcherOptions<In, Out>): (item: In) => Promise<Out> {
  const { run, maxBatch = 50, concurrency = 1, isolate = () => false } = options;
  const queue: Waiting<In, Out>[] = [];
  let underWay = 0;
  const outside = AsyncLocalStorage.snapshot();

  const settle = async (batch: Waiting<In, Out>[]): Promise<void> => {
    try {
      const results = await run(batch.map((waiting) => waiting.item));
      if (results.length !== batch.length) throw new Error(`a batch of ${batch.length} got ${results.length} answers`);
      for (const [index, waiting] of batch.entries()) waiting.resolve(results[index] as Out);
    } catch (error) {
      if (batch.length === 1 || !isolate(error)) {
        for (const waiting of batch) waiting.reject(error);
        return;
      }
      const middle = Math.ceil(batch.length / 2);
      await settle(batch.slice(0, middle));
      await settle(batch.slice(middle));
    }
  };

  const start = (): void => {
    while (underWay < concurrency && queue.length > 0) {
      underWay += 1;
      void outside(settle, queue.splice(0, maxBatch)).finally(() => {
        underWay -= 1;
        start();
      });
    }
  };

  return (item) =>
    new Promise((resolve, reject) => {
      queue.push({ item, resolve, reject });
      start();
    });
}
