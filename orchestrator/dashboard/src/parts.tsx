import type { UseQueryResult } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { type ApiError, uuidIn } from './api.ts';
import { duration, fullTime, type Tone, timeIn, toneOf, words, type Zone } from './format.ts';
import { useLiveState, useNow } from './live.tsx';
import { serverTime } from './server-time.ts';

/** Small parts that several views use. */
export const ZoneContext = createContext<Zone>('utc');

/** A state: a word, with a colour and a shape. */
export function State({ value, tone = toneOf(value) }: { value: string; tone?: Tone }) {
  return (
    <span className="state" data-tone={tone}>
      {words(value)}
    </span>
  );
}

const unknown = <span className="soft">–</span>;

export const orDash = (value: ReactNode): ReactNode =>
  value === null || value === undefined || value === false || value === '' ? unknown : value;

export function When({ at }: { at: string | number | null }) {
  const zone = useContext(ZoneContext);
  if (at === null) return unknown;
  const ms = typeof at === 'number' ? at : Date.parse(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={fullTime(ms)}>
      {timeIn(zone, ms, serverTime())}
    </time>
  );
}

/** How long ago `since` was, or how long it is from `since` to `until`. */
export function Age({ since, until }: { since: string | null; until?: string | null }) {
  const now = useNow(since !== null && !until);
  if (since === null) return unknown;
  const from = Date.parse(since);
  return (
    <span className="number" title={fullTime(from)}>
      {duration(Math.max(0, (until ? Date.parse(until) : now) - from))}
    </span>
  );
}

export function Ms({ value }: { value: number | null }) {
  return value === null ? unknown : <span className="number">{duration(value)}</span>;
}

/** An id with a copy button. Shows its first 8 characters, copies all of it. @param whole shows all of it */
export function Id({ value, whole = false }: { value: string | null; whole?: boolean }) {
  const [copied, setCopied] = useState(false);
  if (value === null) return unknown;
  const copy = async () => {
    await navigator.clipboard?.writeText(value).catch(() => undefined);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <span className="id">
      <code title={value}>{whole ? value : value.slice(0, 8)}</code>
      <button type="button" className="copy" onClick={() => void copy()} aria-label={`Copy ${value}`}>
        {copied ? 'copied' : 'copy'}
      </button>
    </span>
  );
}

type Target = 'sessions' | 'machines' | 'tenants';
const listOf = {
  sessions: { to: '/sessions', name: 'Sessions' },
  machines: { to: '/machines', name: 'Machines' },
  tenants: { to: '/tenants', name: 'Tenants' },
} as const satisfies Record<Target, { to: string; name: string }>;

/** A link to the page of a session, machine or tenant. @param row the keys j and k move between such links */
export function IdLink({
  to,
  id,
  row = false,
  children,
}: {
  to: Target;
  id: string;
  row?: boolean;
  children?: ReactNode;
}) {
  return (
    <Link to={`/${to}/$id`} params={{ id }} title={id} {...(row ? { 'data-row-link': true } : {})}>
      {children ?? <code>{id.slice(0, 8)}</code>}
    </Link>
  );
}

export function Panel({ title, acts, children }: { title: string; acts?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {acts}
      </header>
      {children}
    </section>
  );
}

export function Facts({ of }: { of: Array<[name: string, value: ReactNode]> }) {
  return (
    <dl className="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{orDash(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Longer texts may contain words that are wider than the window, such as names that somebody else has chosen. */
const longWord = 24;

/** A table of few rows. */
export function Rows({
  label,
  head,
  rows,
}: {
  label: string;
  head: string[];
  rows: Array<[key: string, cells: ReactNode[]]>;
}) {
  if (rows.length === 0) return <p className="soft">None.</p>;
  return (
    <table className="rows" aria-label={label}>
      <thead>
        <tr>
          {head.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([key, cells]) => (
          <tr key={key}>
            {cells.map((cell, at) => (
              <td key={head[at]} data-label={head[at]}>
                {typeof cell === 'string' && cell.length > longWord ? (
                  <span className="free">{cell}</span>
                ) : (
                  orDash(cell)
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Skeleton() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="skeleton" aria-busy="true">
      {late && <p role="status">Loading …</p>}
    </div>
  );
}

/** Opens the search. */
export const OpenSearchContext = createContext<() => void>(() => undefined);

/** The address names a thing that is not there. */
function NotFound({ children }: { children: string }) {
  const openSearch = useContext(OpenSearchContext);
  return (
    <div className="notice" data-tone="bad" role="alert">
      <p>{children}</p>
      <button type="button" onClick={openSearch}>
        Find by any id
      </button>
    </div>
  );
}

function ProblemNotice({ error, again }: { error: ApiError; again: () => void }) {
  if (error.status === 404) return <NotFound>{error.message}</NotFound>;
  /** What is wrong is in the address: to send it again would be useless. */
  const isOfAddress = error.status === 400 || error.status === 422;
  return (
    <div className="notice" data-tone="bad" role="alert">
      <p>{error.message}</p>
      {error.requestId && (
        <p className="soft">
          Request <Id value={error.requestId} whole />
        </p>
      )}
      {isOfAddress ? (
        <Link to="." search={{}}>
          Clear filters
        </Link>
      ) : (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** The address is that of no view. */
export const NoPage = () => (
  <>
    <Title>No such page</Title>
    <NotFound>This address is unknown or not complete. Choose a view, or find what you look for by its id.</NotFound>
  </>
);

/** A view that could not be drawn. */
export const Broken = () => (
  <>
    <Title>This view failed</Title>
    <div className="notice" data-tone="bad" role="alert">
      <p>A fault of the dashboard prevents this view. Reload the page. If that does not help, open another view.</p>
      <button type="button" onClick={() => location.reload()}>
        Reload
      </button>
    </div>
  </>
);

/** The view of one thing by the id in the address. What cannot be an id is not asked for. @param one such as `session` */
export function ById({ to, one, children }: { to: Target; one: string; children: (id: string) => ReactNode }) {
  const { id } = useParams({ strict: false }) as { id: string };
  const uuid = uuidIn(id);
  if (uuid !== undefined) return children(uuid);
  return (
    <>
      <Title of={listOf[to]}>{`No such ${one}`}</Title>
      <NotFound>{`The address does not end with the id of a ${one}. An id has 32 digits and letters in five groups.`}</NotFound>
    </>
  );
}

/** A notice that the last refresh failed, so the figures are old. */
function Stale({
  query,
}: {
  query: Pick<UseQueryResult<unknown, ApiError>, 'isRefetchError' | 'dataUpdatedAt' | 'error'>;
}) {
  if (!query.isRefetchError || !query.error) return null;
  return (
    <p className="notice" data-tone="warn" role="status">
      As of <When at={serverTime(query.dataUpdatedAt)} />. {query.error.message} Trying again.
    </p>
  );
}

/** Shows an answer, or that it is loading or has failed. After a failed refresh the earlier answer stays. */
export function Loaded<T>({
  query,
  children,
}: {
  query: Pick<UseQueryResult<T, ApiError>, 'data' | 'error' | 'isRefetchError' | 'dataUpdatedAt'> & {
    refetch(): Promise<unknown>;
  };
  children: (data: T) => ReactNode;
}) {
  if (query.data === undefined)
    return query.error ? <ProblemNotice error={query.error} again={() => void query.refetch()} /> : <Skeleton />;
  return (
    <>
      <Stale query={query} />
      {children(query.data)}
    </>
  );
}

/** The heading of a view, and the name of the page. */
export function Title({
  children,
  acts,
  of,
}: {
  children: string;
  acts?: ReactNode;
  of?: { to: string; name: string };
}) {
  return (
    <div className="title">
      <title>{`${children} · Greenroom`}</title>
      {of && (
        <nav aria-label="Breadcrumb">
          <Link to={of.to}>{of.name}</Link>
        </nav>
      )}
      <h1 tabIndex={-1}>{children}</h1>
      {acts && <div className="acts">{acts}</div>}
    </div>
  );
}

const liveStates = {
  connecting: { text: 'Connecting', tone: 'wait' },
  live: { text: 'Live', tone: 'live' },
  reconnecting: { text: 'Reconnecting', tone: 'warn' },
  paused: { text: 'Paused', tone: 'warn' },
} as const;

export function PauseButton() {
  const { state, paused, toggle } = useLiveState();
  const { text, tone } = liveStates[state];
  return (
    <button type="button" className="pause" aria-pressed={paused} onClick={toggle} title="Space">
      <span className="state" data-tone={tone}>
        {text}
      </span>
      <span className="visually-hidden">: pause updates</span>
    </button>
  );
}
