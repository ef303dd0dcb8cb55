import { startPaths } from '@greenroom/shared/protocol/operators.ts';
import { sessionReasonNames } from '@greenroom/shared/session/reasons.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { Act } from '../acts.tsx';
import type { SessionRow } from '../answers.ts';
import { regionCodes, usd, words } from '../format.ts';
import { List, type ListOf } from '../list.tsx';
import { Age, IdLink, Ms, orDash, State, Title, When } from '../parts.tsx';

export const endOf = (rows: Array<{ session_id: string }>, onDone?: () => void): Act => ({
  verb: 'End',
  danger: true,
  on: rows.map(({ session_id: id }) => ({ name: `session ${id.slice(0, 8)}`, path: `sessions/${id}/end` })),
  ...(onDone ? { onDone } : {}),
});

function Why({ of: { status, reason, sentence, scheduled_at } }: { of: SessionRow }) {
  if (status === 'scheduled')
    return (
      <>
        due <When at={scheduled_at} />
      </>
    );
  if (reason === null && sentence === null) return orDash(null);
  return (
    <span title={[reason && words(reason), sentence].filter(Boolean).join(': ')}>
      {reason && <b>{words(reason)} </b>}
      {sentence}
    </span>
  );
}

const list: ListOf<SessionRow> = {
  path: 'sessions',
  nothing: 'No session yet. The first one appears here as soon as a platform creates it.',
  idOf: ({ session_id }) => session_id,
  acts: (rows, done) => [endOf(rows, done)],
  filters: [
    { name: 'live', label: 'Live only', flag: true },
    { name: 'sort', label: 'Order', options: ['start'], any: 'newest first', names: { start: 'slowest start first' } },
    { name: 'status', label: 'Status', options: sessionStatuses, several: true },
    { name: 'reason', label: 'Reason', options: sessionReasonNames, several: true },
    { name: 'path', label: 'Path', options: startPaths },
    { name: 'region', label: 'Region', options: regionCodes },
    { name: 'attempts', label: 'Attempts', options: ['2', '3'] },
    { name: 'slow_ms', label: 'Start at least', placeholder: 'ms' },
    { name: 'tenant', label: 'Tenant', placeholder: 'id' },
    { name: 'from', label: 'From', placeholder: '2026-01-31T09:00Z' },
    { name: 'until', label: 'Until', placeholder: '2026-01-31T10:00Z' },
  ],
  columns: [
    {
      name: 'Session',
      width: 92,
      of: ({ session_id }) => <IdLink row to="sessions" id={session_id} />,
    },
    { name: 'Status', width: 130, of: ({ status }) => <State value={status} /> },
    { name: 'Why', of: (row) => <Why of={row} /> },
    { name: 'Tenant', width: 100, of: ({ tenant }) => orDash(tenant) },
    { name: 'Region', width: 72, of: ({ region }) => orDash(region) },
    { name: 'Path', width: 76, of: ({ path }) => orDash(path) },
    { name: 'Start', width: 84, number: true, of: ({ start_ms }) => <Ms value={start_ms} /> },
    { name: 'Voice', width: 84, number: true, wide: true, of: ({ voice_ms }) => <Ms value={voice_ms} /> },
    {
      name: 'Length',
      width: 110,
      number: true,
      of: ({ started_at, completed_at }) => <Age since={started_at} until={completed_at} />,
    },
    { name: 'Attempts', width: 84, number: true, of: ({ attempts }) => attempts },
    {
      name: 'Cost',
      width: 76,
      number: true,
      wide: true,
      of: ({ cost_usd }) => (cost_usd === null ? orDash(null) : usd(cost_usd)),
    },
    { name: 'Created', width: 136, number: true, of: ({ created_at }) => <When at={created_at} /> },
  ],
};

export function SessionsView() {
  return (
    <>
      <Title>Sessions</Title>
      <List {...list} />
    </>
  );
}
