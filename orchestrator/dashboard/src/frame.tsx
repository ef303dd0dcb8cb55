import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useCallback, useEffect, useRef } from 'react';
import { ActsProvider } from './acts.tsx';
import { isZone, type Zone } from './format.ts';
import { Keys, views } from './keys.tsx';
import { useFleetStream } from './live.tsx';
import { OpenSearchContext, PauseButton, ZoneContext } from './parts.tsx';
import { Search } from './search.tsx';
import { RoleNotice, SignOut, useAskAgain, useMe } from './session.tsx';
import { useStored } from './stored.ts';

/** The frame of every view: the rail, the search, who is signed in and where. */
const environmentOf = (publicUrl: string): string => {
  const { hostname } = new URL(publicUrl);
  if (hostname === 'localhost' || hostname.startsWith('127.')) return 'local';
  return /(?:^|[.-])(?:stage|staging|test|dev)(?:[.-]|$)/.test(hostname) ? 'staging' : 'production';
};

/** After a move to another view the focus goes to its heading, and on a phone the rail shows where that is. */
function useFocusOnHeading(): void {
  const path = useRouterState({ select: ({ location }) => location.pathname });
  const first = useRef(true);
  useEffect(() => {
    document.querySelector('.rail [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
    if (!first.current && path) document.querySelector<HTMLElement>('h1')?.focus();
    first.current = false;
  }, [path]);
}

export function Frame() {
  const me = useMe();
  const [zone, setZone] = useStored<Zone>('zone', 'utc', isZone);
  const search = useRef<HTMLDialogElement>(null);
  const openSearch = useCallback(() => {
    if (search.current?.open === false) search.current.showModal();
  }, []);
  const toggleZone = () => setZone(() => (zone === 'utc' ? 'local' : 'utc'));
  useFocusOnHeading();
  useFleetStream(useAskAgain());
  const environment = environmentOf(me.public_url);
  return (
    <ZoneContext value={zone}>
      <ActsProvider>
        <a className="skip" href="#view">
          Skip to the view
        </a>
        <header className="top">
          <span className="brand">Greenroom</span>
          <span className="environment" data-environment={environment} title={me.deployment_id}>
            {environment}
          </span>
          <button type="button" className="find" onClick={openSearch}>
            <span className="roomy">Jump to any id</span>
            <span className="narrow">Find</span> <kbd>⌘K</kbd>
          </button>
          <button type="button" className="zone" onClick={toggleZone} title="z">
            {zone === 'utc' ? 'UTC' : 'Local time'}
          </button>
          <PauseButton />
          <details className="me" name="choices">
            <summary>
              <span className="roomy">{me.name}</span>
              <span className="narrow">Me</span> <span className="soft">{me.role}</span>
            </summary>
            <div>
              <p className="soft">
                {me.name}, {me.role}; {me.deployment_id}, version {me.version}
              </p>
              <button type="button" onClick={toggleZone}>
                {zone === 'utc' ? 'Show local time' : 'Show UTC'}
              </button>
              <SignOut />
            </div>
          </details>
        </header>
        <nav className="rail" aria-label="Views">
          {views.map(({ to, name, key }) => (
            <Link key={to} to={to} activeOptions={{ exact: to === '/' }} title={`g ${key}`}>
              {name}
            </Link>
          ))}
        </nav>
        <main id="view">
          <RoleNotice />
          <OpenSearchContext value={openSearch}>
            <Outlet />
          </OpenSearchContext>
        </main>
        <Search dialog={search} />
        <Keys openSearch={openSearch} toggleZone={toggleZone} />
      </ActsProvider>
    </ZoneContext>
  );
}
