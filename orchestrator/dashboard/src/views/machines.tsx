import { machineKinds } from '@greenroom/shared/protocol/operators.ts';
import { machineStates } from '@greenroom/shared/session/states.ts';
import type { Act } from '../acts.tsx';
import type { OpsMachineRow } from '../answers.ts';
import { megabytes, regionCodes, usd } from '../format.ts';
import { List, type ListOf } from '../list.tsx';
import { Age, Id, IdLink, orDash, State, Title, When } from '../parts.tsx';

type Stoppable = Pick<OpsMachineRow, 'machine_id' | 'region'>;
const on = (rows: Stoppable[], body: object): Act['on'] =>
  rows.map(({ machine_id: id, region }) => ({
    name: `machine ${id.slice(0, 8)} in ${region}`,
    path: `machines/${id}/stop`,
    body,
  }));

export const stopOf = (rows: Stoppable[], onDone?: () => void): Act => ({
  ...{ verb: 'Stop', danger: true, on: on(rows, {}) },
  ...(onDone ? { onDone } : {}),
});
export const replaceOf = (rows: Stoppable[], onDone?: () => void): Act => ({
  ...{ verb: 'Replace', on: on(rows, { replace: true }) },
  ...(onDone ? { onDone } : {}),
});

const list: ListOf<OpsMachineRow> = {
  path: 'machines',
  nothing: 'No machine yet. One appears as soon as a session or a pool needs it.',
  idOf: ({ machine_id }) => machine_id,
  acts: (rows, done) => [replaceOf(rows, done), stopOf(rows, done)],
  filters: [
    { name: 'alive', label: 'Alive only', flag: true },
    { name: 'unwanted', label: 'Should be gone', flag: true },
    { name: 'lapsed', label: 'No heartbeat', flag: true },
    { name: 'state', label: 'State', options: machineStates, several: true },
    { name: 'kind', label: 'Kind', options: machineKinds },
    { name: 'region', label: 'Region', options: regionCodes },
    { name: 'tenant', label: 'Tenant', placeholder: 'id' },
    { name: 'app', label: 'Fly app', placeholder: 'name' },
  ],
  columns: [
    { name: 'Machine', width: 92, of: ({ machine_id }) => <IdLink row to="machines" id={machine_id} /> },
    { name: 'State', width: 130, of: (m) => <State value={m.state} {...(m.unwanted ? { tone: 'bad' } : {})} /> },
    { name: 'Kind', width: 80, of: ({ kind }) => kind },
    {
      name: 'Why',
      of: ({ reason, evidence }) => <span title={evidence ?? ''}>{orDash(reason?.replaceAll('_', ' '))}</span>,
    },
    {
      name: 'Session',
      width: 100,
      of: ({ session }) => (session ? <IdLink to="sessions" id={session.session_id} /> : orDash(null)),
    },
    { name: 'Fly machine', width: 190, of: ({ fly_machine_id }) => <Id value={fly_machine_id} whole /> },
    { name: 'App', wide: true, width: 130, of: ({ app_name }) => app_name },
    { name: 'Region', width: 72, of: ({ region }) => region },
    { name: 'Epoch', wide: true, width: 56, number: true, of: ({ epoch }) => orDash(epoch) },
    { name: 'Life', width: 110, number: true, of: (m) => <Age since={m.reserved_at} until={m.destroyed_at} /> },
    {
      name: 'Heartbeat',
      width: 104,
      number: true,
      of: (m) => (m.state === 'claimed' ? <Age since={m.last_heartbeat_at} /> : orDash(null)),
    },
    {
      name: 'Memory',
      wide: true,
      width: 76,
      number: true,
      of: ({ rss_bytes }) => (rss_bytes === null ? orDash(null) : megabytes(rss_bytes)),
    },
    { name: 'Unsaved', wide: true, width: 72, number: true, of: ({ unsaved_entries }) => orDash(unsaved_entries) },
    {
      name: 'Cost',
      wide: true,
      width: 76,
      number: true,
      of: ({ cost_usd }) => (cost_usd === null ? orDash(null) : usd(cost_usd)),
    },
    { name: 'Reserved', wide: true, width: 136, number: true, of: ({ reserved_at }) => <When at={reserved_at} /> },
  ],
};

export function MachinesView() {
  return (
    <>
      <Title>Machines</Title>
      <List {...list} />
    </>
  );
}
