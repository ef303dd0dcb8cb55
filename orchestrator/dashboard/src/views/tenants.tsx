import { tenantStatuses } from '@greenroom/shared/protocol/operators.ts';
import type { OpsTenantRow } from '../answers.ts';
import { fraction, number } from '../format.ts';
import { List, type ListOf } from '../list.tsx';
import { IdLink, orDash, State, Title } from '../parts.tsx';

const list: ListOf<OpsTenantRow> = {
  path: 'tenants',
  nothing: 'No tenant yet. An admin makes the first one with the API.',
  idOf: ({ tenant_id }) => tenant_id,
  filters: [{ name: 'status', label: 'Status', options: tenantStatuses }],
  columns: [
    {
      name: 'Tenant',
      width: 180,
      of: ({ tenant_id, slug }) => (
        <IdLink row to="tenants" id={tenant_id}>
          {slug}
        </IdLink>
      ),
    },
    { name: 'Name', of: ({ name }) => name },
    { name: 'Status', width: 120, of: ({ status }) => <State value={status} /> },
    {
      name: 'Live',
      width: 120,
      number: true,
      of: (t) => (
        <span data-tone={t.live_sessions >= t.max_live_sessions * 0.9 ? 'warn' : undefined}>
          {number(t.live_sessions)} of {number(t.max_live_sessions)}
        </span>
      ),
    },
    { name: 'Queued', width: 80, number: true, of: ({ queued }) => number(queued) },
    {
      name: 'Starts a minute',
      wide: true,
      width: 110,
      number: true,
      of: ({ starts_per_minute: most }) => (most === null ? orDash(null) : number(most)),
    },
    { name: 'Standby', width: 80, number: true, of: ({ standby }) => number(standby) },
    { name: 'Hot', width: 60, number: true, of: ({ hot }) => number(hot) },
    {
      name: 'Creates a second',
      wide: true,
      width: 120,
      number: true,
      of: ({ creates_per_second }) => fraction(creates_per_second),
    },
    { name: 'Keys', wide: true, width: 60, number: true, of: ({ keys }) => number(keys) },
    {
      name: 'Webhooks',
      width: 120,
      number: true,
      of: (t) =>
        t.webhooks_failing > 0 ? <State value={`${t.webhooks_failing} failing`} tone="bad" /> : number(t.webhooks),
    },
  ],
};

export function TenantsView() {
  return (
    <>
      <Title>Tenants</Title>
      <List {...list} />
    </>
  );
}
