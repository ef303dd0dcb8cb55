import { startBudgetsMs } from '@greenroom/shared/protocol/operators.ts';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { ActButton } from '../acts.tsx';
import type { Attention, OpsRegion, Overview } from '../answers.ts';
import { searchOf } from '../api.ts';
import { cityOf, duration, fraction, number, plural, toneOf, usd, words } from '../format.ts';
import { useLive } from '../live.tsx';
import { Age, Id, Loaded, Ms, Panel, Rows, State, Title, When } from '../parts.tsx';
import { World } from '../world.tsx';
import { openRegion } from './regions.tsx';

export function OverviewView() {
  const query = useLive<Overview>('overview');
  return (
    <>
      <Title>Overview</Title>
      <Loaded query={query}>{(overview) => <Figures overview={overview} />}</Loaded>
    </>
  );
}

function Figures({ overview }: { overview: Overview }) {
  const regions = useLive<{ data: OpsRegion[] }>('regions', 10_000);
  const live = overview.sessions.filter(({ status }) => status !== 'scheduled');
  const rate = overview.cost_per_hour;
  return (
    <>
      <NeedsAttention overview={overview} />
      <dl className="figures">
        <Figure name="Live sessions" value={number(total(live))} link="/sessions?live=true" />
        <Figure name="In the room" value={number(overview.present)} />
        <Figure
          name="Queued"
          value={number(total(overview.queued))}
          tone={total(overview.queued) > 0 ? 'warn' : undefined}
        />
        <Figure name="Machines" value={number(total(overview.machines))} link="/machines?alive=true" />
        <Figure name="Spent today" value={usd(overview.spend.today_usd)} />
        <Figure name="Cost an hour, now" value={usd(rate.serving + rate.standby + rate.hot)} />
      </dl>
      <div className="columns">
        <Panel title="Sessions by state">
          <Distribution
            of={overview.sessions}
            name={({ status }) => status}
            link={(status) => `/sessions?status=${status}`}
          />
        </Panel>
        <Panel title="Machines by state">
          <Distribution
            of={overview.machines}
            name={({ state }) => state}
            link={(state) => `/machines?state=${state}`}
          />
        </Panel>
      </div>
      <Panel title="Regions">
        <Loaded query={regions}>{({ data }) => <World regions={data} />}</Loaded>
      </Panel>
      <Starts overview={overview} />
      <div className="columns">
        <Panel title="Pools" acts={<Link to="/pools">All pools</Link>}>
          <Rows
            label="Pools by region"
            head={['Region', 'Standby', 'Hot']}
            rows={overview.pools.map((p) => [
              p.region,
              [
                `${p.region} ${cityOf(p.region)}`,
                <Fill key="s" have={p.ready} want={p.floor} />,
                p.hot_floor > 0 && <Fill key="h" have={p.hot_ready} want={p.hot_floor} />,
              ],
            ])}
          />
        </Panel>
        <Panel title="Fly" acts={<Link to="/next-hour">Next hour</Link>}>
          <p>
            May create <b className="number">{fraction(overview.creates_per_second)}</b> machines a second.{' '}
            {overview.create_backlog_s > 0
              ? `The next one has to wait ${duration(overview.create_backlog_s * 1_000)}.`
              : 'None has to wait.'}
          </p>
          <Loaded query={regions}>{({ data }) => <FlyErrors regions={data} />}</Loaded>
        </Panel>
      </div>
      <div className="columns">
        <Panel title="Cost">
          <Rows
            label="Cost"
            head={['Machines', 'Cost an hour, now']}
            rows={[
              ['serving', ['serving sessions', usd(rate.serving)]],
              ['standby', ['standby', usd(rate.standby)]],
              ['hot', ['hot', usd(rate.hot)]],
            ]}
          />
          <p className="soft">
            Today {usd(overview.spend.today_usd)}, of which {usd(overview.spend.today_prepared_usd)} kept machines
            ready. A machine’s cost is added when it has been destroyed.
          </p>
        </Panel>
        <Panel title="Orchestrators">
          <Orchestrators overview={overview} />
        </Panel>
      </div>
    </>
  );
}

const total = (rows: Array<{ count: number }>): number => rows.reduce((sum, { count }) => sum + count, 0);

function Figure({
  name,
  value,
  link,
  tone,
}: {
  name: string;
  value: string;
  link?: string;
  tone?: string | undefined;
}) {
  return (
    <div data-tone={tone}>
      <dt>{name}</dt>
      <dd className="number">{link ? <To link={link}>{value}</To> : value}</dd>
    </div>
  );
}

/** A link to a list with its filters. @param link such as `/sessions?live=true`, the form that the API uses */
function To({ link, children }: { link: string; children: ReactNode }) {
  const [path = '/', query = ''] = link.split('?');
  return (
    <Link to={path} search={searchOf(query)}>
      {children}
    </Link>
  );
}

function NeedsAttention({ overview: { attention, now } }: { overview: Overview }) {
  return (
    <section className="panel attention" aria-label="Needs attention" data-empty={attention.length === 0 || undefined}>
      <h2>Needs attention</h2>
      {attention.length === 0 ? (
        <p>
          Nothing needs attention. Checked at <When at={now} />.
        </p>
      ) : (
        <ul>
          {attention.map((one) => (
            <li key={one.sentence} data-tone={one.urgent ? 'bad' : 'warn'}>
              <State value={one.urgent ? 'now' : 'soon'} tone={one.urgent ? 'bad' : 'warn'} />
              <span>
                {one.sentence}
                {one.runbook && <span className="soft"> Runbook: {one.runbook}.</span>}
              </span>
              <span className="acts">
                <Fix of={one} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** A button that resolves it, or a link to where it can be resolved. */
function Fix({ of: { code, link, region } }: { of: Attention }) {
  if (code === 'drained' && region !== undefined) return <ActButton act={openRegion(region)} />;
  if (link === '/') return null;
  return <To link={link}>Show</To>;
}

function Distribution<Row extends { count: number }>({
  of,
  name,
  link,
}: {
  of: Row[];
  name: (row: Row) => string;
  link: (name: string) => string;
}) {
  const counts = new Map<string, number>();
  for (const row of of) counts.set(name(row), (counts.get(name(row)) ?? 0) + row.count);
  const most = Math.max(1, ...counts.values());
  if (counts.size === 0) return <p className="soft">None.</p>;
  return (
    <ul className="distribution">
      {[...counts].map(([key, count]) => (
        <li key={key}>
          <To link={link(key)}>
            <State value={key} />
          </To>
          <svg width="100%" height="10" aria-hidden="true">
            <title>{words(key)}</title>
            <rect width={`${(count / most) * 100}%`} height="10" rx="2" data-tone={toneOf(key)} />
          </svg>
          <b className="number">{number(count)}</b>
        </li>
      ))}
    </ul>
  );
}

const objectivesMs: Record<string, number> = startBudgetsMs;

function Starts({ overview: { starts, ended } }: { overview: Overview }) {
  return (
    <Panel title="Starts of the last hour">
      <Rows
        label="Starts of the last hour by path"
        head={['Path', 'Starts', 'Half within', '95 % within', '99 % within', 'Slowest', 'Objective', 'Slow ones']}
        rows={starts.map(({ path, starts: count, slow, p50_ms, p95_ms, p99_ms, max_ms }) => {
          const objective = objectivesMs[path] ?? startBudgetsMs.cold;
          return [
            path,
            [
              path,
              number(count),
              <Ms key="50" value={p50_ms} />,
              <span key="95" data-tone={p95_ms > objective ? 'warn' : undefined}>
                <Ms value={p95_ms} />
              </span>,
              <Ms key="99" value={p99_ms} />,
              <Ms key="max" value={max_ms} />,
              duration(objective),
              <To key="slow" link={`/sessions?sort=start&path=${path}&slow_ms=${objective}`}>
                {plural(slow, `slow ${path} start`)}
              </To>,
            ],
          ];
        })}
      />
      {ended.length > 0 && (
        <p>
          Ended without being completed:{' '}
          {ended.map(({ reason, count }, at) => (
            <span key={reason}>
              {at > 0 && ', '}
              <To link={`/sessions?reason=${reason}`}>
                {count} {words(reason)}
              </To>
            </span>
          ))}
          .
        </p>
      )}
    </Panel>
  );
}

export function Fill({ have, want }: { have: number; want: number }) {
  return (
    <span className="fill">
      <meter value={have} max={Math.max(want, have, 1)} low={want} aria-label={`${have} of ${want}`} />
      <span className="number">
        {have} of {want}
      </span>
      {have < want && <State value="below" tone="warn" />}
    </span>
  );
}

function FlyErrors({ regions }: { regions: OpsRegion[] }) {
  const failing = regions.filter(({ failures_hour }) => failures_hour > 0);
  const tries = regions.reduce((sum, { tries_hour }) => sum + tries_hour, 0);
  return (
    <>
      <p>
        {plural(tries, 'machine')} asked for in the last hour, {plural(failing.length, 'region')} with refusals.
      </p>
      {failing.length > 0 && (
        <Rows
          label="Refusals by region"
          head={['Region', 'Tried', 'Refused', 'Usual create time']}
          rows={failing.map((r) => [
            r.region,
            [`${r.region} ${cityOf(r.region)}`, r.tries_hour, r.failures_hour, <Ms key="m" value={r.create_ms} />],
          ])}
        />
      )}
    </>
  );
}

function Orchestrators({ overview: { orchestrator_list: all, duties } }: { overview: Overview }) {
  return (
    <Rows
      label="Orchestrators"
      head={['Orchestrator', 'State', 'Version', 'Up for', 'Last seen', 'Duties']}
      rows={[
        ...all.map((o): [string, ReactNode[]] => [
          o.orchestrator_id,
          [
            <Id key="i" value={o.orchestrator_id} />,
            o.draining ? <State key="s" value="leaving" tone="warn" /> : <State key="s" value="alive" tone="live" />,
            o.version,
            <Age key="u" since={o.started_at} />,
            <Age key="h" since={o.last_seen_at} />,
            duties
              .filter(({ holder, held }) => held && holder === o.orchestrator_id)
              .map(({ name }) => name)
              .join(', '),
          ],
        ]),
        ...duties
          .filter(({ held }) => !held)
          .map((d): [string, ReactNode[]] => [
            d.name,
            ['nobody', <State key="s" value="no holder" tone="bad" />, null, null, null, d.name],
          ]),
      ]}
    />
  );
}
