import { useSearch } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { ActButton } from '../acts.tsx';
import type { OpsPool } from '../answers.ts';
import { queryOf, type Search } from '../api.ts';
import { cityOf } from '../format.ts';
import { useLive } from '../live.tsx';
import { IdLink, Loaded, Rows, Title } from '../parts.tsx';
import { Fill } from './overview.tsx';

/** What each tenant keeps ready in each region. */
export function PoolsView() {
  const { region = '', tenant = '' } = useSearch({ strict: false }) as Search;
  const query = useLive<{ data: OpsPool[] }>(`pools?${queryOf({ region, tenant })}`);
  return (
    <>
      <Title>Pools</Title>
      <Loaded query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <p className="empty">
              No tenant keeps machines ready. The floor of a pool is set here, or with the API’s pool policy.
            </p>
          ) : (
            <section className="panel">
              <Rows
                label="Pools"
                head={['Tenant', 'Region', 'Standby', 'Being built', 'Ceiling', 'Hot', 'Due in 1 h', 'Set']}
                rows={data.map((pool) => [
                  `${pool.tenant_id} ${pool.region}`,
                  [
                    <IdLink key="t" to="tenants" id={pool.tenant_id}>
                      {pool.tenant}
                    </IdLink>,
                    `${pool.region} ${cityOf(pool.region)}`,
                    <Fill key="s" have={pool.ready} want={pool.floor} />,
                    pool.building + pool.hot.building,
                    pool.ceiling,
                    pool.hot.ceiling > 0 && <Fill key="h" have={pool.hot.ready} want={pool.hot.floor} />,
                    pool.scheduled,
                    <SetPool key="set" pool={pool} />,
                  ],
                ])}
              />
            </section>
          )
        }
      </Loaded>
    </>
  );
}

const numbers = ['floor', 'ceiling', 'hot_floor', 'hot_ceiling'] as const;
type Name = (typeof numbers)[number];
type Wanted = Record<Name, number>;
type PoolName = Pick<OpsPool, 'tenant_id' | 'tenant' | 'region'>;
const names: Record<Name, string> = {
  ...{ floor: 'Floor', ceiling: 'Ceiling', hot_floor: 'Hot floor', hot_ceiling: 'Hot ceiling' },
};

/**
 * Only numbers that the operator changed are sent: the others may have been changed by somebody else meanwhile.
 * @param pool one without `floor` has not been set up yet
 */
export function SetPool({ pool }: { pool: PoolName & Partial<OpsPool> }) {
  const now: Wanted = {
    ...{ floor: pool.floor ?? 0, ceiling: pool.ceiling ?? 0 },
    ...{ hot_floor: pool.hot?.floor ?? 0, hot_ceiling: pool.hot?.ceiling ?? 0 },
  };
  const [edited, setEdited] = useState<Partial<Wanted>>({});
  const details = useRef<HTMLDetailsElement>(null);
  const changed = Object.fromEntries(Object.entries(edited).filter(([name, value]) => value !== now[name as Name]));
  return (
    <details className="choices" name="choices" ref={details}>
      <summary>Change</summary>
      <div>
        {numbers.map((name) => (
          <label key={name}>
            {names[name]}
            <input
              type="number"
              min={0}
              max={10_000}
              value={edited[name] ?? now[name]}
              onChange={({ target }) => setEdited({ ...edited, [name]: Number(target.value) })}
            />
          </label>
        ))}
        <ActButton
          disabled={Object.keys(changed).length === 0 ? 'The pool already has these values.' : undefined}
          act={{
            ...{ verb: 'Set pool', method: 'PUT' },
            on: [
              {
                name: `of ${pool.tenant} in ${pool.region}`,
                path: `pools/${pool.tenant_id}/${pool.region}`,
                body: changed,
              },
            ],
            onDone: () => {
              setEdited({});
              details.current?.removeAttribute('open');
            },
          }}
        />
      </div>
    </details>
  );
}
