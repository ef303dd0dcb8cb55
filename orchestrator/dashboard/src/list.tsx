import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { type Act, ActButton } from './acts.tsx';
import type { Page } from './answers.ts';
import { type ApiError, get, queryOf, type Search, searchOf } from './api.ts';
import { livePages } from './changes.ts';
import { plural, words } from './format.ts';
import { useRefresh } from './live.tsx';
import { Loaded } from './parts.tsx';
import { drawAtOnce } from './redraws.ts';
import { useStored } from './stored.ts';

/**
 * A list of the API. Filters and order are in the address, each page is read by the cursor of the one before, and only the rows
 * in sight are drawn.
 *
 * - While the pointer or the focus is in the table, rows keep their places. A button shows how many new rows there are.
 * - A list with more than `livePages` pages is not refreshed automatically.
 */
export interface Column<Row> {
  name: string;
  /** Pixels. A column without it takes the remaining width. */
  width?: number;
  /** Shown on wide windows and on cards only. */
  wide?: true;
  of(row: Row): ReactNode;
  number?: true;
}

export type Filter = { name: string; label: string } & (
  | { options: readonly string[]; several?: true; any?: string; names?: Record<string, string> }
  | { flag: true }
  | { placeholder: string }
);

export interface ListOf<Row> {
  /** Path below `/ops/api/`. The saved views are stored under it too. */
  path: string;
  filters: Filter[];
  columns: Column<Row>[];
  idOf(row: Row): string;
  /** Acts on the selected rows. */
  acts?: (rows: Row[], done: () => void) => Act[];
  /** The text of an empty list. */
  nothing: string;
}

const pageRows = 50;
/** Some columns change without an event, such as when a worker was last heard. */
const listMs = 5_000;
const rowHeight = 41;
const cardHeight = 108;
const mostSelected = 500;

const phone = matchMedia('(max-width: 48rem)');
/** Wide windows and cards show every column. */
const roomy = matchMedia('(max-width: 48rem), (min-width: 100rem)');

function useRoomy(): boolean {
  return useSyncExternalStore(
    (changed) => {
      roomy.addEventListener('change', changed);
      return () => roomy.removeEventListener('change', changed);
    },
    () => roomy.matches,
  );
}

interface Rows<Row> {
  rows: Row[];
  pages: number;
  /** False: a rare match was searched for a while, and the last page found none. */
  found: boolean;
}

function useRows<Row>(path: string, search: Search) {
  const query = queryOf({ limit: String(pageRows), ...search });
  const refresh = useRefresh(listMs);
  return useInfiniteQuery<Page<Row>, ApiError, Rows<Row>, string[], string>({
    queryKey: [path, query],
    queryFn: ({ pageParam, signal }) =>
      get(`${path}?${query}${pageParam === '' ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`, signal),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor: next }) => next ?? undefined,
    select: ({ pages }) => ({
      rows: pages.flatMap(({ data }) => data),
      pages: pages.length,
      found: pages.at(-1)?.data.length !== 0,
    }),
    placeholderData: keepPreviousData,
    ...refresh,
    refetchInterval: ({ state }) =>
      ((state.data as { pages?: unknown[] } | undefined)?.pages?.length ?? 0) > livePages
        ? false
        : refresh.refetchInterval,
  });
}

/** Keeps rows in their places while `held`: removed rows stay, and new rows are only counted (`waiting`). */
function useSettled<Row>(rows: Row[], idOf: (row: Row) => string, held: boolean, of: string) {
  const shown = useRef<{ of: string; ids: string[]; rows: Map<string, Row> }>({ of: '', ids: [], rows: new Map() });
  const byId = new Map(rows.map((row) => [idOf(row), row]));
  const before = shown.current;
  const isHeld = held && before.of === of && before.ids.length > 0;
  // Rows of a further page are added at the end. Only rows that are newer than those shown wait.
  const last = isHeld ? rows.findLastIndex((row) => before.rows.has(idOf(row))) : -1;
  const added = isHeld ? rows.slice(last + 1).map(idOf) : [];
  const ids = isHeld ? [...before.ids, ...added.filter((id) => !before.rows.has(id))] : rows.map(idOf);
  const kept = new Map(ids.map((id) => [id, (byId.get(id) ?? before.rows.get(id)) as Row]));
  useEffect(() => {
    shown.current = { of, ids, rows: kept };
  });
  return { settled: [...kept.values()], waiting: isHeld ? rows.filter((row) => !kept.has(idOf(row))).length : 0 };
}

function Filters({ of, search, change }: { of: Filter[]; search: Search; change: (search: Search) => void }) {
  const set = (name: string, value: string | string[]) => {
    const { [name]: _before, ...rest } = search;
    change(value.length === 0 ? rest : { ...rest, [name]: value });
  };
  const chosen = of.filter(({ name }) => search[name] !== undefined).length;
  return (
    <details className="filters" open={!phone.matches}>
      <summary>{chosen === 0 ? 'Filters' : `Filters (${chosen})`}</summary>
      <form onSubmit={(event) => event.preventDefault()}>
        {of.map((filter) => (
          <FilterInput
            key={filter.name}
            filter={filter}
            value={search[filter.name]}
            set={(value) => set(filter.name, value)}
          />
        ))}
        {chosen > 0 && (
          <button type="button" onClick={() => change({})}>
            Clear filters
          </button>
        )}
      </form>
    </details>
  );
}

function FilterInput({
  filter,
  value,
  set,
}: {
  filter: Filter;
  value: string | string[] | undefined;
  set: (value: string | string[]) => void;
}) {
  const { label } = filter;
  const values = value === undefined ? [] : [value].flat();
  if ('flag' in filter)
    return (
      <label className="check">
        <input
          type="checkbox"
          checked={values[0] === 'true'}
          onChange={({ target }) => set(target.checked ? 'true' : '')}
        />
        {label}
      </label>
    );
  if ('options' in filter && filter.several)
    return (
      <details className="choices" name="choices">
        <summary>
          {label}
          {values.length > 0 && `: ${values.map(words).join(', ')}`}
        </summary>
        <fieldset>
          <legend className="visually-hidden">{label}</legend>
          {filter.options.map((option) => (
            <label key={option} className="check">
              <input
                type="checkbox"
                checked={values.includes(option)}
                onChange={({ target }) =>
                  set(target.checked ? [...values, option] : values.filter((other) => other !== option))
                }
              />
              {words(option)}
            </label>
          ))}
        </fieldset>
      </details>
    );
  if ('options' in filter)
    return (
      <label>
        <span className="visually-hidden">{label}</span>
        <select value={values[0] ?? ''} onChange={({ target }) => set(target.value)}>
          <option value="">{`${label}: ${filter.any ?? 'any'}`}</option>
          {filter.options.map((option) => (
            <option key={option} value={option}>
              {`${label}: ${filter.names?.[option] ?? words(option)}`}
            </option>
          ))}
        </select>
      </label>
    );
  return (
    <TextFilter key={values[0]} label={label} placeholder={filter.placeholder} value={values[0] ?? ''} set={set} />
  );
}

/** The filter changes on Enter or when the input loses the focus, not at each letter. */
function TextFilter({
  label,
  placeholder,
  value,
  set,
}: {
  label: string;
  placeholder: string;
  value: string;
  set: (value: string) => void;
}) {
  const [text, setText] = useState(value);
  const enter = () => {
    if (text.trim() !== value) set(text.trim());
  };
  return (
    <label>
      <span className="visually-hidden">{label}</span>
      <input
        value={text}
        placeholder={`${label}: ${placeholder}`}
        onChange={({ target }) => setText(target.value)}
        onBlur={enter}
        onKeyDown={({ key }) => key === 'Enter' && enter()}
      />
    </label>
  );
}

type Saved = Record<string, string>;
const isSaved = (value: unknown): value is Saved =>
  typeof value === 'object' && value !== null && Object.values(value).every((query) => typeof query === 'string');

/** Filters and order under a name, kept in this browser. */
function SavedViews({ path, search, change }: { path: string; search: Search; change: (search: Search) => void }) {
  const [saved, setSaved] = useStored<Saved>(`views:${path}`, {}, isSaved);
  const [name, setName] = useState('');
  const query = queryOf(search);
  const current = Object.entries(saved).find(([, kept]) => kept === query)?.[0];
  return (
    <details className="choices" name="choices">
      <summary>{current ?? 'Saved views'}</summary>
      <div>
        {Object.entries(saved).map(([key, kept]) => (
          <span key={key} className="acts">
            <button type="button" onClick={() => change(searchOf(kept))}>
              {key}
            </button>
            <button
              type="button"
              aria-label={`Forget ${key}`}
              onClick={() => setSaved(({ [key]: _forgotten, ...others }) => others)}
            >
              ✕
            </button>
          </span>
        ))}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const under = name.trim();
            if (under !== '') setSaved((before) => ({ ...before, [under]: query }));
            setName('');
          }}
        >
          <label>
            Save this view as
            <input value={name} onChange={({ target }) => setName(target.value)} maxLength={40} />
          </label>
          <button type="submit">Save</button>
        </form>
      </div>
    </details>
  );
}

export function List<Row>(list: ListOf<Row>) {
  const { path, filters, idOf, acts, nothing } = list;
  const isRoomy = useRoomy();
  const columns = list.columns.filter(({ wide }) => isRoomy || !wide);
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const change = (next: Search) => void navigate({ to: '.', search: next });
  const query = useRows<Row>(path, search);
  const table = useRef<HTMLDivElement>(null);
  const [held, setHeld] = useState(false);
  const { settled, waiting } = useSettled(query.data?.rows ?? [], idOf, held, queryOf(search));
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const chosen = settled.filter((row) => selected.has(idOf(row)));
  const toggle = (id: string) => {
    const next = new Set(selected);
    if (!next.delete(id) && next.size < mostSelected) next.add(id);
    setSelected(next);
  };
  const clear = () => setSelected(new Set());

  const rows = useWindowVirtualizer({
    count: settled.length,
    estimateSize: () => (phone.matches ? cardHeight : rowHeight),
    getItemKey: (at) => idOf(settled[at] as Row),
    overscan: 12,
    scrollMargin: table.current?.offsetTop ?? 0,
  });
  const drawn = rows.getVirtualItems();
  const above = (drawn[0]?.start ?? 0) - rows.options.scrollMargin;
  const below = rows.getTotalSize() - ((drawn.at(-1)?.end ?? 0) - rows.options.scrollMargin);
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = query;
  /** After a refusal only the operator asks again. */
  const isFurther = hasNextPage && !isFetchingNextPage && !isFetchNextPageError;
  const lastDrawn = drawn.at(-1)?.index ?? -1;
  const found = query.data?.found ?? true;
  useEffect(() => {
    if (lastDrawn >= settled.length - 10 && settled.length > 0 && found && isFurther) void fetchNextPage();
  }, [lastDrawn, settled.length, found, isFurther, fetchNextPage]);

  const filtered = filters.some(({ name }) => search[name] !== undefined);
  const count =
    settled.length > 1_000 ? '1,000+ rows' : `${plural(settled.length, 'row')}${hasNextPage ? ' and more' : ''}`;
  const pages = query.data?.pages ?? 0;
  return (
    <>
      <div className="bar">
        <Filters of={filters} search={search} change={change} />
        <SavedViews path={path} search={search} change={change} />
      </div>
      <Loaded query={query}>
        {() => (
          <>
            <div className="bar" role="status">
              <span className="soft number">{count}</span>
              {waiting > 0 && (
                <button type="button" onClick={() => setHeld(false)}>
                  {waiting} new
                </button>
              )}
              {pages > livePages && (
                <button type="button" onClick={() => void drawAtOnce(query.refetch())}>
                  Read again
                </button>
              )}
              {hasNextPage && !found && (
                <button type="button" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
                  Search further
                </button>
              )}
              {chosen.length > 0 && (
                <>
                  <b>{chosen.length} selected</b>
                  {acts?.(chosen, clear).map((act) => (
                    <ActButton key={act.verb} act={act} />
                  ))}
                  <button type="button" onClick={clear}>
                    Select none
                  </button>
                </>
              )}
            </div>
            {settled.length === 0 ? (
              <div className="empty">
                <p>{hasNextPage ? 'Nothing found yet.' : filtered ? 'Nothing matches these filters.' : nothing}</p>
                {filtered && (
                  <button type="button" onClick={() => change({})}>
                    Clear filters
                  </button>
                )}
              </div>
            ) : (
              // biome-ignore lint/a11y/noStaticElementInteractions: it only notices where the pointer and the focus are
              <div
                ref={table}
                className="list"
                onPointerEnter={() => setHeld(true)}
                onPointerLeave={() => setHeld(false)}
                onFocus={() => setHeld(true)}
                onBlur={() => setHeld(false)}
              >
                <table aria-label={path} aria-rowcount={hasNextPage ? -1 : settled.length + 1}>
                  <colgroup>
                    {acts && <col width={40} />}
                    {columns.map(({ name, width }) => (
                      <col key={name} {...(width === undefined ? {} : { width })} />
                    ))}
                  </colgroup>
                  <thead>
                    <tr aria-rowindex={1}>
                      {acts && (
                        <th scope="col">
                          <span className="visually-hidden">Select</span>
                        </th>
                      )}
                      {columns.map(({ name, number }) => (
                        <th key={name} scope="col" className={number && 'number'}>
                          {name}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {above > 0 && (
                      <tr className="gap">
                        <td colSpan={columns.length + (acts ? 1 : 0)} height={above} />
                      </tr>
                    )}
                    {drawn.map(({ index, key }) => {
                      const row = settled[index] as Row;
                      const id = idOf(row);
                      return (
                        <tr key={key} ref={rows.measureElement} data-index={index} aria-rowindex={index + 2}>
                          {acts && (
                            <td className="select">
                              <input
                                type="checkbox"
                                aria-label={`Select ${id}`}
                                checked={selected.has(id)}
                                onChange={() => toggle(id)}
                              />
                            </td>
                          )}
                          {columns.map(({ name, of, number }) => (
                            <td key={name} data-label={name} className={number && 'number'}>
                              {of(row)}
                            </td>
                          ))}
                        </tr>
                      );
                    })}
                    {below > 0 && (
                      <tr className="gap">
                        <td colSpan={columns.length + (acts ? 1 : 0)} height={below} />
                      </tr>
                    )}
                  </tbody>
                </table>
              </div>
            )}
            {isFetchNextPageError && (
              <div className="notice" data-tone="warn" role="alert">
                <p>The next rows could not be read. {query.error?.message}</p>
                <button type="button" onClick={() => void fetchNextPage()}>
                  Try again
                </button>
              </div>
            )}
          </>
        )}
      </Loaded>
    </>
  );
}
