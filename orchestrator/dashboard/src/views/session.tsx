import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ActButton } from '../acts.tsx';
import type { OpsEvent, Page, SessionDocument } from '../answers.ts';
import { type ApiError, get } from '../api.ts';
import { duration, megabytes, usd, words } from '../format.ts';
import { useLive } from '../live.tsx';
import { Age, ById, Facts, Id, IdLink, Loaded, orDash, Panel, Rows, State, Title, When } from '../parts.tsx';
import { useRefusal } from '../session.tsx';
import { Waterfall } from '../waterfall.tsx';
import { endOf } from './sessions.tsx';

export const SessionView = () => (
  <ById to="sessions" one="session">
    {(id) => <SessionPage key={id} id={id} />}
  </ById>
);

function SessionPage({ id }: { id: string }) {
  const query = useLive<SessionDocument>(`sessions/${id}`, 5_000);
  const ended = query.data !== undefined && query.data.completed_at !== null;
  return (
    <>
      <Title
        of={{ to: '/sessions', name: 'Sessions' }}
        acts={
          query.data && <ActButton act={endOf([query.data])} disabled={ended ? 'It has ended already.' : undefined} />
        }
      >
        {`Session ${id.slice(0, 8)}`}
      </Title>
      <Loaded query={query}>{(session) => <Session session={session} />}</Loaded>
    </>
  );
}

function Session({ session }: { session: SessionDocument }) {
  const { why, evaluation } = session;
  return (
    <>
      <section className="panel verdict" aria-label="Why">
        <p className="head">
          <State value={session.status} />
          {session.reason && <span>{words(session.reason)}</span>}
          {session.simulated && <span className="soft">simulation</span>}
          {session.completed_at === null && session.presence !== 'absent' && (
            <span className="soft">candidate {session.presence}</span>
          )}
        </p>
        {why && (
          <p className="sentence" data-verdict={why.verdict}>
            {why.sentence}
          </p>
        )}
        {why && <Waterfall why={why} machines={session.machines} />}
      </section>
      <div className="columns">
        <Panel title="Session">
          <Facts
            of={[
              ['Id', <Id key="id" value={session.session_id} whole />],
              [
                'Tenant',
                <IdLink key="t" to="tenants" id={String(session.tenant_id)}>
                  {session.tenant}
                </IdLink>,
              ],
              ['The platform’s candidate', session.external_id && <Id value={session.external_id} whole />],
              [
                'Region',
                session.region &&
                  `${session.region}${session.region_reason ? ` (${words(session.region_reason)})` : ''}`,
              ],
              ['Path', session.path],
              ['Created', <When key="c" at={session.created_at} />],
              ['Scheduled', session.scheduled_at && <When at={session.scheduled_at} />],
              ['Length', session.started_at && <Age since={session.started_at} until={session.completed_at} />],
              ['Ended', session.completed_at && <When at={session.completed_at} />],
              ['Cost', session.cost_usd !== null && usd(session.cost_usd)],
            ]}
          />
        </Panel>
        <Panel
          title="Transcript, evaluation, recordings"
          acts={
            evaluation && (
              <ActButton
                act={{
                  verb: 'Retry evaluation',
                  on: [{ name: '', path: 'retries', body: { kind: 'result', id: session.session_id } }],
                }}
              />
            )
          }
        >
          <Facts
            of={[
              ['Transcript', `${session.transcript.entries} entries, ${session.transcript.unverified} unverified`],
              ['Complete', session.transcript.complete === true ? 'yes' : 'not yet'],
              ['Evaluation', evaluation && <State value={evaluation.status} />],
              ['Evaluation attempts', evaluation?.attempts],
              ['Evaluation error', evaluation?.last_error],
              ['Recordings', session.recordings.map(({ ordinal, state }) => `${ordinal}: ${words(state)}`).join(', ')],
            ]}
          />
          <Transcript id={session.session_id} />
        </Panel>
      </div>
      <Panel title="Machines">
        <Rows
          label="Machines of this session"
          head={[
            'Attempt',
            'State',
            'Region',
            'Machine',
            'Fly machine',
            'Fly request',
            'Epoch',
            'Life',
            'Memory',
            'Unsaved',
            'Why it ended',
          ]}
          rows={session.machines.map((m) => [
            m.machine_id,
            [
              m.attempt,
              <State key="s" value={m.state} {...(m.unwanted ? { tone: 'bad' } : {})} />,
              m.region,
              <IdLink key="m" to="machines" id={m.machine_id} />,
              <Id key="f" value={m.fly_machine_id} whole />,
              <Id key="r" value={m.fly_request_id} />,
              m.epoch,
              <Age key="a" since={m.reserved_at} until={m.destroyed_at} />,
              m.rss_bytes === null ? null : megabytes(m.rss_bytes),
              m.unsaved_entries,
              <Evidence key="e" reason={m.reason} evidence={m.evidence} />,
            ],
          ])}
        />
      </Panel>
      <Panel title="Calls">
        <Rows
          label="Calls of this session"
          head={['Call', 'Provider', 'Call id', 'Opened', 'Answered after', 'Hung up']}
          rows={session.calls.map((c) => [
            String(c.ordinal),
            [
              c.ordinal,
              c.provider,
              <Id key="i" value={c.call_id} />,
              <When key="o" at={c.opened_at} />,
              c.answered_at && duration(Date.parse(c.answered_at) - Date.parse(c.opened_at)),
              <HungUp key="h" at={c.hung_up_at} owed={session.completed_at !== null} />,
            ],
          ])}
        />
      </Panel>
      <Panel title="Webhooks">
        <Rows
          label="Webhook deliveries"
          head={['Type', 'Status', 'Attempts', 'Last answer', 'Created', 'Act']}
          rows={session.deliveries.map((d) => [
            d.id,
            [
              d.type,
              <State key="s" value={d.status} />,
              d.attempts,
              d.last_error ?? d.last_status,
              <When key="c" at={d.created_at} />,
              <ActButton
                key="a"
                act={{ verb: 'Send again', on: [{ name: d.type, path: `deliveries/${d.id}/replay` }] }}
              />,
            ],
          ])}
        />
      </Panel>
      <Events id={session.session_id} />
      <details className="panel">
        <summary>Everything, as the API answers it</summary>
        <pre>{JSON.stringify(session, null, 2)}</pre>
      </details>
    </>
  );
}

function HungUp({ at, owed }: { at: string | null; owed: boolean }) {
  return at === null && owed ? <State value="outstanding" tone="warn" /> : <When at={at} />;
}

export function Evidence({ reason, evidence }: { reason: string | null; evidence: string | null }) {
  if (reason === null) return orDash(null);
  return (
    <>
      {words(reason)}
      {evidence && <span className="soft free">{evidence}</span>}
    </>
  );
}

function Events({ id }: { id: string }) {
  const query = useLive<Page<OpsEvent>>(`events?session=${id}&limit=200`);
  return (
    <Panel title="Events">
      <Loaded query={query}>
        {({ data }) => (
          <Rows
            label="Events of this session"
            head={['Time', 'Event', 'Data']}
            rows={data
              .toReversed()
              .map((event) => [
                String(event.id),
                [<When key="w" at={event.created_at} />, event.type, <code key="d">{JSON.stringify(event.data)}</code>],
              ])}
          />
        )}
      </Loaded>
    </Panel>
  );
}

interface Entry {
  item_id: string;
  speaker: string;
  text: string;
}

/** The transcript is requested only when an admin presses the button: each request is in the audit log. */
function Transcript({ id }: { id: string }) {
  const refusal = useRefusal('admin');
  const [asked, setAsked] = useState(false);
  // An operator who is no longer an admin must press the button again to read it as an admin.
  if (asked && refusal !== undefined) setAsked(false);
  if (asked && refusal === undefined) return <Entries id={id} />;
  return (
    <button type="button" disabled={refusal !== undefined} title={refusal} onClick={() => setAsked(true)}>
      Read the transcript (audited)
    </button>
  );
}

function Entries({ id }: { id: string }) {
  const query = useQuery<{ data: Entry[] }, ApiError>({
    queryKey: ['transcript', id],
    queryFn: ({ signal }) => get(`sessions/${id}/transcript`, signal),
    // It is never read again by itself, not even after an act.
    staleTime: 'static',
    // It is forgotten as soon as it is no longer shown.
    gcTime: 0,
    refetchOnReconnect: false,
  });
  return (
    <Loaded query={query}>
      {({ data }) => (
        <ol className="transcript">
          {data.map(({ item_id, speaker, text }) => (
            <li key={item_id}>
              <b>{speaker}</b> {text}
            </li>
          ))}
          {data.length === 0 && <li>No entry is stored.</li>}
        </ol>
      )}
    </Loaded>
  );
}
