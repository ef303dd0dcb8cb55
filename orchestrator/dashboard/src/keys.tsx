import type { DashboardView } from '@greenroom/shared/protocol/operators.ts';
import { useNavigate, useRouter } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { useLiveState } from './live.tsx';
import { useStored } from './stored.ts';

/** The views, in the order of the navigation. Typing `g`, then `key`, opens a view. */
export const views = [
  { to: '/', name: 'Overview', key: 'o' },
  { to: '/sessions', name: 'Sessions', key: 's' },
  { to: '/machines', name: 'Machines', key: 'm' },
  { to: '/next-hour', name: 'Next hour', key: 'n' },
  { to: '/pools', name: 'Pools', key: 'p' },
  { to: '/regions', name: 'Regions', key: 'r' },
  { to: '/tenants', name: 'Tenants', key: 't' },
  { to: '/work', name: 'Work', key: 'w' },
  { to: '/events', name: 'Events', key: 'e' },
  { to: '/audit', name: 'Audit', key: 'a' },
] as const satisfies Array<{ to: '/' | `/${DashboardView}`; name: string; key: string }>;

interface Binding {
  keys: string;
  does: string;
  run(): void;
}

const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';
const isTyping = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest('input, textarea, select, dialog, [contenteditable]') !== null;

/** Closes the open menu. @returns whether there was one */
function closeMenu(): boolean {
  const menu = document.querySelector<HTMLDetailsElement>('.choices[open], .me[open]');
  if (!menu) return false;
  menu.open = false;
  menu.querySelector('summary')?.focus();
  return true;
}

const rowsOf = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('[data-row-link]')];

function moveRow(by: number): void {
  const rows = rowsOf();
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

/** Handles the keyboard shortcuts, and lists them in a dialog that `?` opens. Both use the table `bindings`. */
export function Keys({ openSearch, toggleZone }: { openSearch: () => void; toggleZone: () => void }) {
  const navigate = useNavigate();
  const router = useRouter();
  const { toggle } = useLiveState();
  const help = useRef<HTMLDialogElement>(null);
  const [single, setSingle] = useStored('single-keys', true, isBoolean);
  const bindings: Binding[] = [
    { keys: '?', does: 'These keys', run: () => help.current?.showModal() },
    { keys: '/', does: 'Search (also ⌘K, Ctrl K)', run: openSearch },
    ...views.map(({ to, name, key }) => ({ keys: `g ${key}`, does: name, run: () => void navigate({ to }) })),
    { keys: 'j', does: 'Next row', run: () => moveRow(1) },
    { keys: 'k', does: 'Previous row', run: () => moveRow(-1) },
    {
      keys: 'f',
      does: 'Filters',
      run: () => document.querySelector<HTMLElement>('.filters summary, .filters select')?.focus(),
    },
    { keys: ' ', does: 'Pause or resume updates', run: toggle },
    { keys: 'z', does: 'UTC or local time', run: toggleZone },
    // The entry before the first one belongs to another site.
    { keys: 'Escape', does: 'Close the menu, or back', run: () => router.history.canGoBack() && router.history.back() },
  ];
  const held = useRef('');
  const current = useRef(bindings);
  current.current = bindings;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key === 'k') {
        event.preventDefault();
        openSearch();
        return;
      }
      const isInDialog = event.target instanceof Element && event.target.closest('dialog') !== null;
      if (event.key === 'Escape' && !isInDialog && closeMenu()) return;
      if (!single || event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
      // A focused button is pressed by the space bar.
      if (event.key === ' ' && event.target instanceof Element && event.target.closest('button, a, summary')) return;
      const typed = held.current === 'g' ? `g ${event.key}` : event.key;
      held.current = event.key === 'g' ? 'g' : '';
      const found = current.current.find(({ keys }) => keys === typed);
      if (!found) return;
      event.preventDefault();
      found.run();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [single, openSearch]);
  return (
    <dialog ref={help} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl className="keys">
        {bindings.map(({ keys, does }) => (
          <div key={keys}>
            <dt>
              <kbd>{keys === ' ' ? 'Space' : keys}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label className="check">
        <input type="checkbox" checked={single} onChange={({ target }) => setSingle(() => target.checked)} />
        Use single-key shortcuts
      </label>
      <div className="acts">
        <button type="button" onClick={() => help.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
