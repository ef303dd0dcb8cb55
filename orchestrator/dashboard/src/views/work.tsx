import { retryableWork, workKinds, workStates } from '@greenroom/shared/protocol/operators.ts';
import { type Act, ActButton } from '../acts.tsx';
import type { OpsHold, OpsWork } from '../answers.ts';
import { words } from '../format.ts';
import { List, type ListOf } from '../list.tsx';
import { useLive } from '../live.tsx';
import { Age, Id, IdLink, Loaded, orDash, Panel, Rows, State, Title, When } from '../parts.tsx';

const isRetryable = (kind: string): boolean => retryableWork.some((one) => one === kind);

const retryOf = (rows: OpsWork[], onDone: () => void): Act => ({
  verb: 'Retry now',
  on: rows
    .filter(({ kind }) => isRetryable(kind))
    .map(({ kind, id }) => ({ name: `${words(kind)} ${id.slice(0, 8)}`, path: 'retries', body: { kind, id } })),
  onDone,
});

const list: ListOf<OpsWork> = {
  path: 'work',
  nothing: 'No outstanding work: every result, recording, hang-up, webhook and erasure is done.',
  idOf: ({ key }) => key,
  acts: (rows, done) => [retryOf(rows, done)],
  filters: [
    { name: 'kind', label: 'Kind', options: workKinds },
    { name: 'state', label: 'State', options: workStates, several: true },
    { name: 'tenant', label: 'Tenant', placeholder: 'id' },
  ],
  columns: [
    { name: 'Kind', width: 150, of: ({ kind }) => words(kind) },
    { name: 'State', width: 110, of: ({ state }) => <State value={state} /> },
    { name: 'Of', width: 140, of: ({ id }) => <Id value={id} /> },
    {
      name: 'Session',
      width: 110,
      of: ({ session_id }) => (session_id ? <IdLink row to="sessions" id={session_id} /> : orDash(null)),
    },
    { name: 'Last error', of: ({ last_error }) => <span title={last_error ?? ''}>{orDash(last_error)}</span> },
    { name: 'Tenant', wide: true, width: 120, of: ({ tenant }) => orDash(tenant) },
    { name: 'Attempts', width: 92, number: true, of: ({ attempts }) => attempts },
    { name: 'Waiting for', width: 110, number: true, of: ({ since }) => <Age since={since} /> },
    { name: 'Due', width: 136, number: true, of: ({ due_at }) => <When at={due_at} /> },
  ],
};

export function WorkView() {
  return (
    <>
      <Title>Work</Title>
      <Brake />
      <List {...list} />
    </>
  );
}

/** What the reconciler's brake holds: every machine of the list is shown before anybody may release it. */
function Brake() {
  const query = useLive<{ data: OpsHold[] }>('brake');
  return (
    <Loaded query={query}>
      {({ data }) =>
        data.map((hold) => (
          <Panel
            key={hold.hold_id}
            title={`The brake holds ${hold.ends.length} machines of ${hold.app_name}`}
            acts={
              <ActButton
                act={{
                  ...{ verb: 'Release', danger: true, role: 'admin' },
                  on: [
                    { name: `the brake of ${hold.app_name}`, path: 'brake/release', body: { hold_id: hold.hold_id } },
                  ],
                }}
                disabled={hold.released_at === null ? undefined : 'It is released; the next round ends the machines.'}
              />
            }
          >
            <p>
              At most {hold.ceiling} would be ended at once. Held since <When at={hold.held_at} />
              {hold.released_at && (
                <>
                  ; released <When at={hold.released_at} /> by {hold.released_by?.replace(/^operator:/, '')}
                </>
              )}
              .
            </p>
            <Rows
              label={`Machines that the brake of ${hold.app_name} holds`}
              head={['Machine', 'Fly machine', 'Session', 'What would be done']}
              rows={hold.ends.map((end) => [
                `${end.machine_id} ${end.fly_machine_id}`,
                [
                  end.machine_id && <IdLink to="machines" id={end.machine_id} />,
                  <Id key="f" value={end.fly_machine_id} whole />,
                  end.session_id && <IdLink to="sessions" id={end.session_id} />,
                  end.what,
                ],
              ])}
            />
          </Panel>
        ))
      }
    </Loaded>
  );
}
