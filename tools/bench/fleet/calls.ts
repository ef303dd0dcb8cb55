import type pg from 'pg';

/** The calls of `bench fleet`: every list with its filters and depths, every document, and the summaries. */
export interface Call {
  name: string;
  /** A summary reads the whole live fleet; everything else follows keys. */
  kind: 'keyset' | 'summary';
  sql: string;
  values: unknown[];
}

/** What the API asks for a page of 50 rows, its default: one more shows that there are more. */
export const page = 51;
const keyset = (name: string, sql: string, ...values: unknown[]): Call => ({ name, kind: 'keyset', sql, values });
const summary = (name: string, sql: string, ...values: unknown[]): Call => ({ name, kind: 'summary', sql, values });

/** One list: a call for each filter, and one for each place of the unfiltered list. */
const listOf = (
  name: string,
  sql: string,
  filters: object[],
  places: Record<string, object | number | null>,
): Call[] => [
  ...filters.map((filter) => keyset(`${name} ${JSON.stringify(filter)}`, sql, filter, null)),
  ...Object.entries(places).map(([depth, place]) => keyset(`${name}, ${depth}`, sql, {}, place)),
];

type Ids = Record<'session' | 'machine' | 'tenant' | 'app' | 'delivery' | 'webhook' | 'fly' | 'candidate', string>;

async function idsOf(db: pg.Client): Promise<Ids> {
  const { rows } = await db.query<Ids>(
    `select s.id as session, s.machine_id as machine, s.tenant_id as tenant, t.app_name as app, s.fly_machine_id as fly,
      s.candidate_id as candidate, (select id from public.webhook_endpoints w where w.tenant_id = t.id limit 1) as webhook,
      (select d.id from public.webhook_deliveries d where d.session_id = s.id limit 1) as delivery
     from public.interview_sessions s join app.bench_tenants t on t.id = s.tenant_id where s.id = md5('session 707')::uuid`,
  );
  return rows[0] as Ids;
}

/** The key of the row at this depth of a list. */
async function placeAt(db: pg.Client, sql: string): Promise<object> {
  return (await db.query<{ place: object }>(`select to_jsonb(x) as place from (${sql}) x`)).rows[0]?.place as object;
}
const depths = async (db: pg.Client, columns: string, from: string, order: string) => ({
  'first page': null,
  'after 1,000': await placeAt(db, `select ${columns} from ${from} order by ${order} offset 1000 limit 1`),
  'last page': await placeAt(
    db,
    `select * from (select ${columns}, row_number() over () as n from (select * from ${from} order by ${order
      .split(', ')
      .map((column) => column.replace(' desc', ''))
      .join(', ')} limit 60) y) z order by n desc limit 1`,
  ),
});

async function lists(db: pg.Client, id: Ids): Promise<Call[]> {
  const sessions = (sort: string) => `select public.ops_sessions($1, '${sort}', $2, ${page})`;
  const [lastEvent, lastAudit] = [
    Number((await db.query('select max(id) as id from public.session_events')).rows[0]?.id),
    Number((await db.query('select max(id) as id from public.audit_log')).rows[0]?.id),
  ];
  const live = (await db.query("select id from public.interview_sessions where status = 'in_progress' limit 200")).rows;
  const month = new Date(Date.now() - 30 * 86_400_000).toISOString();
  const common = [{ tenant: id.tenant }, { region: 'fra' }, { region: 'gru' }, { status: ['failed'] }, { live: true }];
  const more = [{ path: 'cold' }, { attempts: 2 }, { slow_ms: 30_000 }, { reason: ['worker_lost'] }];
  return [
    ...listOf(
      'sessions, newest',
      sessions('created'),
      [
        ...[...common, ...more, { status: ['completed'] }, { status: ['in_progress'] }, { reason: ['boot_timeout'] }],
        ...[{ tenant: id.tenant, status: ['failed'] }, { until: month }, { from: month, until: month }],
        ...[{ status: ['failed', 'disconnected', 'expired'] }, { tenant: id.tenant, path: 'cold' }],
        ...[{ region: 'syd', status: ['failed'] }, { ids: live.map((row) => row.id) }],
      ],
      await depths(db, 'created_at as at, id', 'public.interview_sessions', 'created_at desc, id desc'),
    ),
    ...listOf(
      'sessions, slowest',
      sessions('start'),
      [...common, ...more, { path: 'cold', slow_ms: 6_000 }, { path: 'hot', slow_ms: 100 }, { from: month }],
      await depths(
        db,
        'start_ms, session_id as id',
        '(select * from public.session_phases where start_ms is not null) p',
        'start_ms desc, session_id desc',
      ),
    ),
    ...listOf(
      'machines',
      `select public.ops_machines($1, $2, ${page})`,
      [
        ...[{ alive: true }, { unwanted: true }, { lapsed: true }, { state: ['destroyed'] }, { state: ['claimed'] }],
        ...[{ kind: 'standby' }, { kind: 'hot' }, { tenant: id.tenant }, { region: 'fra' }, { region: 'gru' }],
        ...[{ app: id.app }, { alive: true, region: 'gru' }, { sessions: live.map((row) => row.id) }],
      ],
      await depths(db, 'reserved_at as at, id', 'public.machines', 'reserved_at desc, id desc'),
    ),
    ...listOf(
      'events',
      `select public.ops_events($1, $2, null, ${page})`,
      [
        ...[{ tenant: id.tenant }, { session: id.session }, { type: ['session.ready'] }, { type: ['session.lost'] }],
        ...[
          { tenant: id.tenant, type: ['session.ready'] },
          { tenant: id.tenant, type: ['session.lost'] },
        ],
      ],
      { 'first page': null, 'after 1,000': lastEvent - 1_000, 'last page': 50 },
    ),
    ...listOf(
      'audit',
      `select public.ops_audit($1, $2, ${page})`,
      [
        ...[{ tenant: id.tenant }, { actor: 'key:bench' }, { actor: 'operator:kim' }, { action: 'session.read' }],
        ...[{ action: 'session.end' }, { target: id.session }, { outcome: 'refused' }],
      ],
      { 'first page': null, 'after 1,000': lastAudit - 1_000, 'last page': 50 },
    ),
    ...listOf(
      'deliveries',
      `select public.ops_deliveries($1, $2, ${page})`,
      [
        ...[{ tenant: id.tenant }, { webhook: id.webhook }, { session: id.session }],
        ...[
          { tenant: id.tenant, status: 'dead' },
          { tenant: id.tenant, status: 'pending' },
        ],
      ],
      {},
    ),
    ...listOf('tenants', `select public.ops_tenants($1, $2, ${page})`, [{}, { status: 'suspended' }], {}),
    ...listOf('work', `select public.ops_work($1, $2, ${page})`, [{}, { state: ['dead'] }, { kind: 'hang_up' }], {}),
  ];
}

function documents(id: Ids): Call[] {
  const texts = [id.session, id.session.slice(0, 8), `gr-${id.machine}`, id.fly, `rtc_${id.session}`, 'tenant-7'];
  return [
    ...[...texts, id.app, id.candidate, 'ext-7', '01JXQ5N0F8S2V4D6-fra'].map((text) =>
      keyset(`find ${text}`, 'select public.ops_find($1)', text),
    ),
    keyset('one session', 'select public.ops_session($1)', id.session),
    keyset('one machine', 'select public.ops_machine($1)', id.machine),
    keyset('one tenant', 'select public.ops_tenant($1)', id.tenant),
    keyset('one delivery', 'select public.ops_delivery($1)', id.delivery),
    keyset('new events', "select public.ops_new_events((select max(id) - 20 from public.session_events), '{}', 500)"),
  ];
}

export async function callsOf(db: pg.Client, budgetsMs: object): Promise<Call[]> {
  const id = await idsOf(db);
  return [
    ...(await lists(db, id)),
    ...documents(id),
    summary('overview', 'select public.ops_overview($1)', budgetsMs),
    summary('pools', "select public.ops_pools('{}')"),
    summary('regions', 'select public.ops_regions()'),
    summary('schedule of an hour', 'select public.ops_schedule(60)'),
    summary('cost of 30 days', 'select public.ops_costs(30)'),
  ];
}
