import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { followStream } from '@greenroom/shared/runtime/event-stream.ts';
import { type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query';
import { useRouterState } from '@tanstack/react-router';
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { ApiError } from './api.ts';
import { dashboardHeaders, get, uuidIn } from './api.ts';
import { createChanges } from './changes.ts';
import { redraws } from './redraws.ts';
import { serverTime } from './server-time.ts';

/**
 * Keeps what is shown up to date. Every view reads through `useLive`; no other code decides when to read again.
 *
 * - While the stream of the fleet is connected, it brings the changes (changes.ts). Every query is also read again now and then,
 *   for figures that change without an event, such as a worker's last heartbeat.
 * - While it is not connected, every query is read again a little more often than that.
 * - While updates are paused, there is no stream and nothing is read again: not after some time, not on focus, not when the
 *   network is back. A view that is opened meanwhile is read once.
 */
interface Live {
  state: 'connecting' | 'live' | 'reconnecting' | 'paused';
  paused: boolean;
  toggle(): void;
  setConnected(connected: boolean): void;
}

const LiveContext = createContext<Live | undefined>(undefined);

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [paused, setPaused] = useState(false);
  const [connection, setConnection] = useState<Exclude<Live['state'], 'paused'>>('connecting');
  const setConnected = useCallback(
    (connected: boolean) =>
      setConnection((before) => (connected ? 'live' : before === 'connecting' ? before : 'reconnecting')),
    [],
  );
  const live = useMemo<Live>(
    () => ({
      state: paused ? 'paused' : connection,
      paused,
      toggle: () => {
        setPaused(!paused);
        // An answer that is on its way would change the page after the pause has begun. A first answer still has to come.
        if (!paused) void client.cancelQueries({ predicate: ({ state }) => state.data !== undefined });
      },
      setConnected,
    }),
    [client, paused, connection, setConnected],
  );
  return <LiveContext value={live}>{children}</LiveContext>;
}

export function useLiveState(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error('this is not inside a LiveProvider');
  return live;
}

const everyMs = 10_000;
const disconnectedMs = 5_000;

/** How a query behaves while the page is live, disconnected or paused. */
export function useRefresh(refreshMs: number = everyMs) {
  const { paused, state } = useLiveState();
  return {
    refetchInterval: paused ? (false as const) : state === 'live' ? refreshMs : Math.min(refreshMs, disconnectedMs),
    staleTime: paused ? Number.POSITIVE_INFINITY : 0,
    refetchOnWindowFocus: !paused,
    refetchOnReconnect: !paused,
  };
}

/**
 * @param path below `/ops/api/`
 * @param refreshMs how often it is read again although no event told of a change. Default 10 s.
 */
export function useLive<T>(path: string, refreshMs?: number): UseQueryResult<T, ApiError> {
  const refresh = useRefresh(refreshMs);
  return useQuery<T, ApiError>({
    queryKey: [path],
    queryFn: ({ signal }) => get<T>(path, signal),
    ...refresh,
  });
}

/** One timer for all who show the time, so that one redraw a second shows it everywhere. */
const tickMs = 1_000;
const onTick = new Set<() => void>();
let tick: { now: number; timer: ReturnType<typeof setInterval> } | undefined;

function drawTime(): void {
  if (tick) tick.now = serverTime();
  for (const each of onTick) each();
}

function watchTime(changed: () => void): () => void {
  onTick.add(changed);
  tick ??= { now: serverTime(), timer: setInterval(() => redraws.soon(drawTime), tickMs) };
  return () => {
    onTick.delete(changed);
    if (onTick.size > 0) return;
    clearInterval(tick?.timer);
    tick = undefined;
  };
}
const watchNothing = () => () => undefined;

/**
 * The current time, updated once a second. It does not change while updates are paused.
 * @param wanted false: the time when the part was first drawn, without updates
 */
export function useNow(wanted: boolean): number {
  const { paused } = useLiveState();
  const [first] = useState(() => serverTime());
  const last = useRef(first);
  return useSyncExternalStore(wanted && !paused ? watchTime : watchNothing, () => {
    const now = tick?.now ?? last.current;
    // The last tick may be slightly older than the time shown: that is ignored. A time that lies further back means that the
    // computer's clock was set back.
    if (!paused && (now > last.current || now < last.current - 2 * tickMs)) last.current = now;
    return last.current;
  });
}

/** The part of the stream that a view needs. The other views learn from a changed overview that they should read again. */
function topicsOf(pathname: string): string {
  const [, view = '', id = ''] = pathname.split('/');
  const session = view === 'sessions' ? uuidIn(id) : undefined;
  if (session !== undefined) return `topics=events&session=${session}`;
  return view === 'sessions' || view === 'machines' || view === 'events' ? `topics=${view}` : 'topics=overview';
}

/** A hidden page needs no stream. A browser opens only six connections to one server, so many open tabs would block each other. */
const useVisible = (): boolean =>
  useSyncExternalStore(
    (changed) => {
      document.addEventListener('visibilitychange', changed);
      return () => document.removeEventListener('visibilitychange', changed);
    },
    () => document.visibilityState === 'visible',
  );

/** The page says "reconnecting" only after this time: a change of views takes a new connection. */
const reconnectingMs = 1_500;

/**
 * Connects to the stream of the fleet while the page is visible, signed in and not paused.
 * @param onRefused is called when the API no longer accepts the cookie
 */
export function useFleetStream(onRefused: () => void): void {
  const client = useQueryClient();
  const { paused, setConnected } = useLiveState();
  const visible = useVisible();
  const topics = useRouterState({ select: ({ location }) => topicsOf(location.pathname) });
  useEffect(() => {
    if (paused || !visible) return;
    const leaving = new AbortController();
    const changes = createChanges(client, systemClock, redraws);
    let lost: ReturnType<typeof setTimeout> | undefined;
    const show = (connected: boolean) => {
      clearTimeout(lost);
      if (connected) setConnected(true);
      else lost = setTimeout(() => setConnected(false), reconnectingMs);
    };
    void followStream({
      signal: leaving.signal,
      open: async (last, signal) => {
        const headers = { ...dashboardHeaders, ...(last === undefined ? {} : { 'last-event-id': last }) };
        const answer = await fetch(`/ops/api/stream?${topics}`, { headers, signal }).catch(() => undefined);
        if (answer?.ok) return answer;
        void answer?.body?.cancel();
        if (answer?.status === 401 || answer?.status === 403) onRefused();
        return undefined;
      },
      onMessage: (message) => {
        if (message.name === 'bye' && message.data.includes('signed_out')) onRefused();
        else changes.take(message);
        return undefined;
      },
      onConnected: show,
    });
    return () => {
      leaving.abort();
      changes.stop();
      clearTimeout(lost);
    };
  }, [client, paused, visible, topics, setConnected, onRefused]);
}
