import { ActButton } from '../acts.tsx';
import type { OpsMachine } from '../answers.ts';
import { duration, megabytes, usd, words } from '../format.ts';
import { useLive } from '../live.tsx';
import { Age, ById, Facts, Id, IdLink, Loaded, Panel, Rows, State, Title, When } from '../parts.tsx';
import { replaceOf, stopOf } from './machines.tsx';
import { Evidence } from './session.tsx';

const leaving = ['destroying', 'destroyed'];

export const MachineView = () => (
  <ById to="machines" one="machine">
    {(id) => <MachinePage key={id} id={id} />}
  </ById>
);

function MachinePage({ id }: { id: string }) {
  const query = useLive<OpsMachine>(`machines/${id}`, 5_000);
  const machine = query.data;
  const gone = machine && leaving.includes(machine.state) ? `It is ${machine.state} already.` : undefined;
  return (
    <>
      <Title
        of={{ to: '/machines', name: 'Machines' }}
        acts={
          machine && (
            <>
              <ActButton act={replaceOf([machine])} disabled={gone} />
              <ActButton act={stopOf([machine])} disabled={gone} />
            </>
          )
        }
      >
        {`Machine ${id.slice(0, 8)}`}
      </Title>
      <Loaded query={query}>{(one) => <Machine machine={one} />}</Loaded>
    </>
  );
}

/** The columns that say when the machine reached each step of its life. */
const steps = [
  ...(['reserved_at', 'not_before', 'asked_at', 'answered_at', 'created_at', 'assigned_at', 'started_at'] as const),
  ...(['booted_at', 'claimed_at', 'draining_at', 'destroying_at', 'destroyed_at'] as const),
];

function Machine({ machine: m }: { machine: OpsMachine }) {
  const life = steps
    .flatMap((name) => (m[name] === null ? [] : [{ name, at: Date.parse(m[name]) }]))
    .toSorted((a, b) => a.at - b.at);
  return (
    <>
      <section className="panel verdict" aria-label="State">
        <p className="head">
          <State value={m.state} {...(m.unwanted ? { tone: 'bad' } : {})} />
          {m.unwanted && <b>should be gone</b>}
          {m.reason !== null && <Evidence reason={m.reason} evidence={m.evidence} />}
        </p>
      </section>
      <div className="columns">
        <Panel title="Machine">
          <Facts
            of={[
              ['Id', <Id key="i" value={m.machine_id} whole />],
              ['Fly machine', <Id key="f" value={m.fly_machine_id} whole />],
              ['Fly request', <Id key="r" value={m.fly_request_id} whole />],
              ['App', m.app_name],
              ['Image', <Id key="m" value={m.image} whole />],
              [
                'Tenant',
                <IdLink key="t" to="tenants" id={m.tenant_id}>
                  {m.tenant}
                </IdLink>,
              ],
              ['Session', m.session && <IdLink to="sessions" id={m.session.session_id} />],
              ['Served by this', m.session && (m.session.served_by_this ? 'yes' : 'no')],
              ['Region', m.region],
              ['Kind', m.kind],
              ['Intent taken by', m.taken_by && <Id value={m.taken_by} />],
              ['Cost', m.cost_usd !== null && usd(m.cost_usd)],
            ]}
          />
        </Panel>
        <Panel title="Signs of life">
          <Facts
            of={[
              ['Last heartbeat', m.last_heartbeat_at && <Age since={m.last_heartbeat_at} />],
              ['Lease until', m.lease_expires_at && <When at={m.lease_expires_at} />],
              ['Hard deadline', m.hard_deadline_at && <When at={m.hard_deadline_at} />],
              ['First missing at Fly', m.first_absent_at && <When at={m.first_absent_at} />],
              ['Host unhealthy since', m.host_bad_since && <When at={m.host_bad_since} />],
              ['Unreachable since', m.unreachable_since && <When at={m.unreachable_since} />],
              ['Memory', m.rss_bytes !== null && megabytes(m.rss_bytes)],
              ['Unsaved entries', m.unsaved_entries],
            ]}
          />
        </Panel>
      </div>
      <Panel title="Life">
        <Rows
          label="Life of this machine"
          head={['Step', 'At', 'After the one before']}
          rows={life.map(({ name, at }, index) => [
            name,
            [
              words(name.replace(/_at$/, '')),
              <When key="w" at={at} />,
              index > 0 ? duration(at - (life[index - 1]?.at ?? at)) : null,
            ],
          ])}
        />
      </Panel>
      <Panel title="Events">
        <Rows
          label="Events of this machine"
          head={['Time', 'Event', 'Data']}
          rows={m.events.map((event) => [
            String(event.id),
            [<When key="w" at={event.created_at} />, event.type, <code key="d">{JSON.stringify(event.data)}</code>],
          ])}
        />
      </Panel>
    </>
  );
}
