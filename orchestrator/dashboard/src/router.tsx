import type { DashboardView } from '@greenroom/shared/protocol/operators.ts';
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { queryOf, type Search, searchOf } from './api.ts';
import { Frame } from './frame.tsx';
import { Broken, NoPage } from './parts.tsx';

/** The addresses of the dashboard. The orchestrator serves its page at each of `dashboardViews` (orchestrator/src/ops/dashboard.ts). */
const root = createRootRoute({
  component: Frame,
  validateSearch: (search): Search => search as Search,
  notFoundComponent: NoPage,
});

type Path = '/' | `/${DashboardView}` | `/${DashboardView}/$id`;

const components: Array<{ preload?: () => Promise<void> | undefined }> = [];

const at = <const P extends Path, Module extends Record<string, unknown>>(
  path: P,
  load: () => Promise<Module>,
  name: keyof Module & string,
) => {
  const component = lazyRouteComponent(load, name);
  components.push(component);
  return createRoute({ getParentRoute: () => root, path, component });
};

export const router = createRouter({
  routeTree: root.addChildren([
    at('/', () => import('./views/overview.tsx'), 'OverviewView'),
    at('/sessions', () => import('./views/sessions.tsx'), 'SessionsView'),
    at('/sessions/$id', () => import('./views/session.tsx'), 'SessionView'),
    at('/machines', () => import('./views/machines.tsx'), 'MachinesView'),
    at('/machines/$id', () => import('./views/machine.tsx'), 'MachineView'),
    at('/next-hour', () => import('./views/next-hour.tsx'), 'NextHourView'),
    at('/pools', () => import('./views/pools.tsx'), 'PoolsView'),
    at('/regions', () => import('./views/regions.tsx'), 'RegionsView'),
    at('/tenants', () => import('./views/tenants.tsx'), 'TenantsView'),
    at('/tenants/$id', () => import('./views/tenant.tsx'), 'TenantView'),
    at('/work', () => import('./views/work.tsx'), 'WorkView'),
    at('/events', () => import('./views/events.tsx'), 'EventsView'),
    at('/audit', () => import('./views/audit.tsx'), 'AuditView'),
  ]),
  defaultErrorComponent: Broken,
  parseSearch: searchOf,
  stringifySearch: (search) => {
    const query = queryOf(search as Search);
    return query === '' ? '' : `?${query}`;
  },
});

/** Loads the code of all views, so that they open while the orchestrator is away or after another version has replaced it. */
export function preloadViews(): void {
  for (const { preload } of components) void preload?.();
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
