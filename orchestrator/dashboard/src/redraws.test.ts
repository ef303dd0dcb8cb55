import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { InfiniteQueryObserver, notifyManager, QueryClient, QueryObserver } from '@tanstack/react-query';
import { beforeEach, expect, test } from 'vitest';
import { createRedraws, drawAtOnce, drawQueries, redrawMs } from './redraws.ts';

/** When the page is redrawn, and what has to wait for it. */
let clock: ReturnType<typeof createFakeClock>;
let client: QueryClient;
beforeEach(() => {
  clock = createFakeClock();
  client = new QueryClient({ defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY, retry: false } } });
});

test('much that changes is drawn together, at most once in 250 ms, and the first at once', async () => {
  const redraws = createRedraws(clock);
  const drawnAt: number[] = [];
  for (let count = 0; count < 100; count += 1) {
    redraws.soon(() => drawnAt.push(clock.monotonicMs()));
    await clock.advance(10);
  }
  const times = [...new Set(drawnAt)];
  expect([drawnAt.length, times]).toEqual([100, [0, 1, 2, 3, 4].map((n) => n * redrawMs)]);
});

test('what a person waits for is drawn at once, and takes along what waits', async () => {
  const redraws = createRedraws(clock);
  const drawn: string[] = [];
  redraws.soon(() => drawn.push('first'));
  await clock.advance(0);
  redraws.soon(() => drawn.push('waits'));
  redraws.soon(() => drawn.push('cancelled')).cancel();
  await clock.advance(100);
  redraws.atOnce(() => drawn.push('awaited'));
  await clock.advance(0);
  expect(drawn).toEqual(['first', 'waits', 'awaited']);
  redraws.soon(() => drawn.push('next'));
  await clock.advance(redrawMs - 1);
  expect(drawn.length).toBe(3);
  await clock.advance(1);
  expect(drawn.length).toBe(4);
});

test('what is written during a redraw is drawn in it', async () => {
  const redraws = createRedraws(clock);
  const drawnAt: number[] = [];
  redraws.soon(() => redraws.soon(() => drawnAt.push(clock.monotonicMs())));
  await clock.advance(0);
  expect(drawnAt).toEqual([0]);
});

test('a part that fails does not keep the others from being drawn', async () => {
  const failing = { ...clock, setTimer: (draw: () => void, inMs: number) => clock.setTimer(() => quietly(draw), inMs) };
  const quietly = (draw: () => void) => {
    try {
      draw();
    } catch {}
  };
  const redraws = createRedraws(failing);
  let drawn = 0;
  redraws.soon(() => {
    throw new Error('a fault');
  });
  redraws.soon(() => {
    drawn += 1;
  });
  await clock.advance(2 * redrawMs);
  expect(drawn).toBe(1);
});

/** A part that shows a query. @returns what it has drawn */
function show(key: string) {
  const drawn: unknown[] = [];
  let answer = 0;
  const observer = new QueryObserver(client, {
    queryKey: [key],
    queryFn: async () => {
      answer += 1;
      return answer;
    },
    notifyOnChangeProps: ['data'],
  });
  // As React's hook subscribes: it draws what is then the result.
  observer.subscribe(notifyManager.batchCalls(() => drawn.push(observer.getCurrentResult().data)));
  return { drawn, observer };
}

test('the first answer of a query is drawn at once, and an answer that is read again with the next redraw', async () => {
  drawQueries(client, createRedraws(clock));
  const one = show('one');
  await clock.advance(0);
  expect(one.drawn).toEqual([1]);
  const two = show('two');
  await clock.advance(0);
  expect(two.drawn).toEqual([1]);

  await clock.advance(100);
  for (let count = 0; count < 3; count += 1) {
    await client.refetchQueries();
    await clock.advance(0);
  }
  expect([one.drawn, two.drawn]).toEqual([[1], [1]]);
  await clock.advance(redrawMs);
  expect([one.drawn.at(-1), two.drawn.at(-1)]).toEqual([4, 4]);
});

test('what is read again after an act, a further page and what the page itself writes are drawn at once', async () => {
  drawQueries(client, createRedraws(clock));
  const { drawn } = show('one');
  await clock.advance(0);
  await drawAtOnce(client.invalidateQueries());
  await clock.advance(0);
  expect(drawn).toEqual([1, 2]);
  client.setQueryData(['one'], 77);
  await clock.advance(0);
  expect(drawn).toEqual([1, 2, 77]);

  const counts: unknown[] = [];
  const list = new InfiniteQueryObserver(client, {
    ...{ queryKey: ['list'], initialPageParam: 0, notifyOnChangeProps: ['data'] },
    queryFn: async ({ pageParam }) => Number(pageParam),
    getNextPageParam: (last: number) => last + 1,
  });
  list.subscribe(notifyManager.batchCalls(() => counts.push(list.getCurrentResult().data?.pages.length)));
  await clock.advance(0);
  await list.fetchNextPage();
  await clock.advance(0);
  expect(counts).toEqual([1, 2]);
});
