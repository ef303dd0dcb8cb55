import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type RefObject, useDeferredValue, useState } from 'react';
import type { OpsHit } from './answers.ts';
import { type ApiError, get, queryOf } from './api.ts';
import { words } from './format.ts';

/** Jump to anything by any of its ids. */
const targetOf = ({ kind, id }: OpsHit): string | undefined => {
  if (kind === 'session' || kind === 'machine' || kind === 'tenant') return `/${kind}s/${id}`;
  if (kind === 'audit') return '/audit';
  return undefined;
};

export function Search({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const wanted = useDeferredValue(text.trim());
  const { data, error, isFetching } = useQuery<{ data: OpsHit[] }, ApiError>({
    queryKey: ['find', wanted],
    queryFn: ({ signal }) => get(`find?${queryOf({ q: wanted })}`, signal),
    enabled: wanted !== '',
    staleTime: 5_000,
  });
  const hits = wanted === '' ? [] : (data?.data ?? []);
  const open = (hit: OpsHit) => {
    const to = targetOf(hit);
    if (to === undefined) return;
    dialog.current?.close();
    setText('');
    void navigate({ to, ...(hit.kind === 'audit' ? { search: { request: wanted } } : {}) });
  };
  const move = (by: number) => {
    const all = [...(dialog.current?.querySelectorAll<HTMLElement>('input, .hits button') ?? [])];
    all[(all.indexOf(document.activeElement as HTMLElement) + by + all.length) % all.length]?.focus();
  };
  return (
    <dialog ref={dialog} className="search" aria-label="Jump to anything">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the arrows move between its buttons */}
      <div
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
          event.preventDefault();
          move(event.key === 'ArrowDown' ? 1 : -1);
        }}
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (hits[0]) open(hits[0]);
          }}
        >
          <label>
            Any id: session, machine, Fly, request, call, tenant, the platform’s own
            <input
              value={text}
              onChange={({ target }) => setText(target.value)}
              spellCheck={false}
              autoComplete="off"
            />
          </label>
        </form>
        <p role="status" className="soft">
          {error?.message ??
            (wanted === ''
              ? 'A UUID needs at least its first 8 digits.'
              : isFetching
                ? 'Looking …'
                : `${hits.length} found.`)}
        </p>
        <ul className="hits">
          {hits.map((hit) => (
            <li key={`${hit.kind} ${hit.id} ${hit.by}`}>
              <button type="button" disabled={targetOf(hit) === undefined} onClick={() => open(hit)}>
                <b>{hit.kind}</b> <code>{hit.id}</code>
                <span className="soft">
                  {[
                    hit.tenant,
                    hit.label && words(hit.label),
                    `found by ${hit.by}`,
                    targetOf(hit) === undefined && 'has no page here',
                  ]
                    .filter(Boolean)
                    .join(' · ')}
                </span>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </dialog>
  );
}
