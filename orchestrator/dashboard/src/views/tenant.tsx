import { Link } from '@tanstack/react-router';
import type { OpsPool, OpsTenant } from '../answers.ts';
import { cityOf, number, usd, words } from '../format.ts';
import { useLive } from '../live.tsx';
import { ById, Facts, Id, Loaded, Panel, Rows, State, Title, When } from '../parts.tsx';
import { Fill } from './overview.tsx';
import { SetPool } from './pools.tsx';

export const TenantView = () => (
  <ById to="tenants" one="tenant">
    {(id) => <TenantPage key={id} id={id} />}
  </ById>
);

function TenantPage({ id }: { id: string }) {
  const query = useLive<OpsTenant>(`tenants/${id}`, 5_000);
  return (
    <>
      <Title
        of={{ to: '/tenants', name: 'Tenants' }}
        acts={
          <>
            <Link to="/sessions" search={{ tenant: id }}>
              Its sessions
            </Link>
            <Link to="/machines" search={{ tenant: id, alive: 'true' }}>
              Its machines
            </Link>
          </>
        }
      >
        {query.data ? query.data.slug : `Tenant ${id.slice(0, 8)}`}
      </Title>
      <Loaded query={query}>{(tenant) => <Tenant tenant={tenant} />}</Loaded>
    </>
  );
}

function Tenant({ tenant: t }: { tenant: OpsTenant }) {
  const pools = useLive<{ data: OpsPool[] }>(`pools?tenant=${t.tenant_id}`, 5_000);
  return (
    <>
      <div className="columns">
        <Panel title="Tenant">
          <Facts
            of={[
              ['Id', <Id key="i" value={t.tenant_id} whole />],
              ['Name', t.name],
              ['Status', <State key="s" value={t.status} />],
              ['Live sessions', `${number(t.live_sessions)} of ${number(t.max_live_sessions)}`],
              ['Queued', number(t.queued)],
              ['Starts a minute', t.starts_per_minute === null ? 'no limit' : number(t.starts_per_minute)],
              ['Most standby', number(t.max_standby)],
              ['Fly apps', t.apps.map(({ name, status }) => `${name} (${words(status)})`).join(', ')],
            ]}
          />
        </Panel>
        <Panel title="Last 30 days">
          <Facts
            of={[
              ['Sessions', t.usage_30_days.sessions > 1_000 ? '1,000+' : number(t.usage_30_days.sessions)],
              ['Machines', number(t.usage_30_days.machines)],
              ['Cost', usd(t.usage_30_days.cost_usd)],
            ]}
          />
        </Panel>
      </div>
      <Panel title="Pools">
        <Loaded query={pools}>
          {({ data }) => (
            <Rows
              label="Pools of this tenant"
              head={['Region', 'Standby', 'Hot', 'Due in 1 h', 'Set']}
              rows={data.map((pool) => [
                pool.region,
                [
                  `${pool.region} ${cityOf(pool.region)}`,
                  <Fill key="s" have={pool.ready} want={pool.floor} />,
                  pool.hot.ceiling > 0 && <Fill key="h" have={pool.hot.ready} want={pool.hot.floor} />,
                  pool.scheduled,
                  <SetPool key="set" pool={pool} />,
                ],
              ])}
            />
          )}
        </Loaded>
      </Panel>
      <Panel title="Webhooks">
        <Rows
          label="Webhooks of this tenant"
          head={['URL', 'State', 'Failures', 'Failing since', 'Why']}
          rows={t.endpoints.map((w) => [
            w.webhook_id,
            [
              w.url,
              w.enabled ? (
                <State key="s" value={w.failing_since ? 'failing' : 'active'} />
              ) : (
                <State key="s" value="off" tone="bad" />
              ),
              w.failures,
              <When key="w" at={w.failing_since} />,
              w.disabled_reason,
            ],
          ])}
        />
      </Panel>
      <Panel title="API keys">
        <Rows
          label="API keys of this tenant"
          head={['Name', 'Begins with', 'Scopes', 'Created', 'Expires', 'Revoked']}
          rows={t.api_keys.map((k) => [
            k.key_id,
            [
              k.name,
              <code key="p" className="short">
                {k.prefix}
              </code>,
              k.scopes.join(', '),
              <When key="c" at={k.created_at} />,
              <When key="e" at={k.expires_at} />,
              <When key="r" at={k.revoked_at} />,
            ],
          ])}
        />
      </Panel>
    </>
  );
}
