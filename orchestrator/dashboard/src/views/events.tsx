import type { OpsEvent } from '../answers.ts';
import { List, type ListOf } from '../list.tsx';
import { IdLink, orDash, Title, When } from '../parts.tsx';

const list: ListOf<OpsEvent> = {
  path: 'events',
  nothing: 'No event yet. They begin with the first session.',
  idOf: ({ id }) => String(id),
  filters: [
    { name: 'type', label: 'Type', placeholder: 'session.ready' },
    { name: 'tenant', label: 'Tenant', placeholder: 'id' },
    { name: 'session', label: 'Session', placeholder: 'id' },
  ],
  columns: [
    { name: 'Time', width: 130, of: ({ created_at }) => <When at={created_at} /> },
    { name: 'Event', width: 210, of: ({ type }) => type },
    {
      name: 'Session',
      width: 110,
      of: ({ session_id }) => (session_id ? <IdLink row to="sessions" id={session_id} /> : orDash(null)),
    },
    { name: 'Tenant', wide: true, width: 130, of: ({ tenant }) => orDash(tenant) },
    { name: 'Data', of: ({ data }) => <code title={JSON.stringify(data)}>{JSON.stringify(data)}</code> },
    { name: 'Number', wide: true, width: 90, number: true, of: ({ id }) => id },
  ],
};

export function EventsView() {
  return (
    <>
      <Title>Events</Title>
      <List {...list} />
    </>
  );
}
