import { beforeAll, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { type Answer, call, newTenant, servedSession, type TestTenant } from './support/sessions.ts';

/** Pages of operators' lists for combinations of filters, compared with a plain query over all rows. */
const project = useProject();
const db = () => project().owner;
let tenants: TestTenant[];
const statuses = ['completed', 'failed', 'expired', 'cancelled', 'disconnected'];

beforeAll(async () => {
  tenants = [await newTenant(db()), await newTenant(db()), await newTenant(db())];
  for (const [i, tenant] of tenants.entries()) {
    const { id } = await servedSession(db(), tenant);
    await project().admin.query(
      `with made as (insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, outcome, reason, region, created_at, completed_at, expires_at)
         select s.tenant_id, s.candidate_id, s.candidate, s.position_id, x.status, x.status, case when n % 7 = 0 then 'worker_lost' else 'ended_by_platform' end,
           (array['fra', 'ams', 'syd'])[n % 3 + 1], now() - make_interval(mins => 1 + n / 2), now(), now()
         from public.interview_sessions s, generate_series(1, 700) n, lateral (select ($2::text[])[n % 11 % 5 + 1] as status) x where s.id = $1 returning *)
       insert into public.session_phases (session_id, tenant_id, path, attempts, region, due_at, ready_at)
         select id, tenant_id, case when extract(minute from created_at)::int % 2 = 0 then 'cold' else 'standby' end,
           1 + extract(minute from created_at)::int % 3, region, created_at, created_at + make_interval(secs => extract(minute from created_at) / 7)
         from made where $3 = 0 or status <> 'expired'`,
      [id, statuses, i],
    );
  }
  await project().admin.query('analyze');
});

interface Filter {
  [name: string]: unknown;
}
const quoted = (value: unknown) => `'${String(value)}'`;
const any = (values: unknown) => `(${(values as string[]).map(quoted).join(', ')})`;
const conditions: Record<string, (value: unknown) => string> = {
  tenant: (id) => `s.tenant_id = ${quoted(id)}`,
  status: (values) => `s.status in ${any(values)}`,
  reason: (values) => `s.reason in ${any(values)}`,
  region: (region) => `s.region = ${quoted(region)}`,
  path: (path) => `p.path = ${quoted(path)}`,
  attempts: (least) => `p.attempts >= ${least}`,
  slow_ms: (least) => `p.start_ms >= ${least}`,
  until: (time) => `s.created_at < ${quoted(time)}`,
  live: () => "s.status not in ('completed', 'failed', 'expired', 'cancelled', 'disconnected')",
};
async function plain(filter: Filter, sort: string): Promise<string[]> {
  const where = Object.entries(filter).map(([name, value]) => conditions[name]?.(value));
  const order = sort === 'start' ? 'p.start_ms desc, s.id desc' : 's.created_at desc, s.id desc';
  const { rows } = await db().query(
    `select s.id from public.interview_sessions s left join public.session_phases p on p.session_id = s.id
     where ${['true', ...where, ...(sort === 'start' ? ['p.start_ms is not null'] : [])].join(' and ')} order by ${order}`,
  );
  return rows.map(({ id }) => id);
}
/** All pages, one after the other. */
async function paged(filter: Filter, sort: string, limit: number): Promise<string[]> {
  const seen: string[] = [];
  let after: object | null = null;
  for (;;) {
    const page: Answer = await call(db(), 'ops_sessions', {
      ...{ p_filter: filter, p_sort: sort, p_after: after, p_limit: limit },
    });
    seen.push(...page.rows.map((row: Answer) => row.session_id));
    const last = page.rows.at(-1);
    if (page.searched_to !== null) after = page.searched_to;
    else if (page.rows.length < limit) return seen;
    else after = { at: last.created_at, start_ms: last.start_ms, id: last.session_id };
  }
}

const filtersOf = (): Filter[] => [
  ...[{}, { status: ['failed'] }, { status: ['completed'] }, { status: ['failed', 'expired'] }, { live: true }],
  ...[{ reason: ['worker_lost'] }, { reason: ['worker_lost', 'ended_by_platform'] }, { region: 'syd' }],
  ...[{ path: 'cold' }, { attempts: 3 }, { slow_ms: 8_000 }, { slow_ms: 100 }, { region: 'gru' }],
  { until: new Date(Date.now() - 200 * 60_000).toISOString() },
];
test.each(['created', 'start'])(
  'all pages of a list contain what a plain query selects, sorted by %s',
  async (sort) => {
    for (const filter of filtersOf())
      expect([filter, await paged(filter, sort, 100)]).toEqual([filter, await plain(filter, sort)]);
  },
);

test.each(['created', 'start'])(
  'so do those of each pair of filters, of one tenant or of all, sorted by %s',
  async (sort) => {
    const tenant = tenants[0]?.id;
    for (const [i, one] of filtersOf().entries())
      for (const [n, two] of filtersOf()
        .slice(i + 1)
        .entries()) {
        const filter = { ...one, ...two, ...(n % 2 === 0 && { tenant }) };
        expect([filter, await paged(filter, sort, 150)]).toEqual([filter, await plain(filter, sort)]);
      }
  },
);

test('ids and other filters together select what has both', async () => {
  const all = await plain({ tenant: tenants[1]?.id }, 'created');
  const ids = all.filter((_, n) => n % 9 === 0);
  const of = (filter: Filter) => paged({ ids, ...filter }, 'created', 50);
  expect(await of({})).toEqual(ids);
  const failed = await plain({ tenant: tenants[1]?.id, status: ['failed'] }, 'created');
  expect(await of({ status: ['failed'] })).toEqual(ids.filter((id) => failed.includes(id)));
});
