import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import type { ApiError } from './api.ts';
import { get } from './api.ts';

/**
 * Keeps what is shown up to date. Every view reads through `useLive`; no other code decides when to read again.
 *
 * While updates are paused, nothing is read again: not after some time, not on focus, not when the network is back. A view that
 * is opened meanwhile is read once.
 */
interface Live {
  paused: boolean;
  toggle(): void;
}

const LiveContext = createContext<Live>({ paused: false, toggle: () => undefined });

export function LiveProvider({ children }: { children: ReactNode }) {
  const [paused, setPaused] = useState(false);
  const live = useMemo(() => ({ paused, toggle: () => setPaused((before) => !before) }), [paused]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

export const usePause = (): Live => useContext(LiveContext);

const everyMs = 2_000;

/** How a query behaves while the page is live or paused. */
export function useRefresh(refreshMs: number = everyMs) {
  const { paused } = usePause();
  return {
    refetchInterval: paused ? (false as const) : refreshMs,
    staleTime: paused ? Number.POSITIVE_INFINITY : 0,
    refetchOnWindowFocus: !paused,
    refetchOnReconnect: !paused,
  };
}

/** @param path below `/ops/api/` */
export function useLive<T>(path: string, refreshMs?: number): UseQueryResult<T, ApiError> {
  const refresh = useRefresh(refreshMs);
  return useQuery<T, ApiError>({
    queryKey: [path],
    queryFn: ({ signal }) => get<T>(path, signal),
    ...refresh,
  });
}

/** The current time, updated once a second. It does not change while updates are paused. */
export function useNow(): number {
  const { paused } = usePause();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (paused) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [paused]);
  return now;
}
