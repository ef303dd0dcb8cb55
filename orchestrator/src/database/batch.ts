/**
 * Calls that are in flight together travel together: one rpc for many.
 *
 * B1  A call goes at once while fewer than `concurrency` batches are under way; otherwise it joins the next one. So a
 *     lone call waits for nobody, and under load the batches grow by themselves.
 * B2  A batch that fails because of what is in it, or because it is too much at once, is run again in halves, so that one bad
 *     call does not spoil the rest. That is safe only because a failed batch is a transaction that was rolled back: `isolate`
 *     says when it was.
 */
export interface BatcherOptions<In, Out> {
  /** Answers in the order of the items, one for each. */
  run(items: In[]): Promise<Out[]>;
  /** Default 50. */
  maxBatch?: number;
  /** Batches under way at once. Default 1. */
  concurrency?: number;
  /** B2. Default: never. */
  isolate?: (error: unknown) => boolean;
}

interface Waiting<In, Out> {
  item: In;
  resolve(out: Out): void;
  reject(error: unknown): void;
}

/** @returns a function that runs one item, in company when there is some. */
export function createBatcher<In, Out>(options: BatcherOptions<In, Out>): (item: In) => Promise<Out> {
  const { run, maxBatch = 50, concurrency = 1, isolate = () => false } = options;
  const queue: Waiting<In, Out>[] = [];
  let underWay = 0;

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
      void settle(queue.splice(0, maxBatch)).finally(() => {
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
