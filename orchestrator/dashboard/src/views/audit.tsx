import { auditOutcomes } from '@greenroom/shared/protocol/operators.ts';
import type { OpsAuditEntry } from '../answers.ts';
import { List, type ListOf } from '../list.tsx';
import { Id, orDash, State, Title, When } from '../parts.tsx';

const list: ListOf<OpsAuditEntry> = {
  path: 'audit',
  nothing: 'No act is in the audit log yet.',
  idOf: ({ id }) => String(id),
  filters: [
    { name: 'outcome', label: 'Outcome', options: auditOutcomes },
    { name: 'actor', label: 'Who', placeholder: 'operator:kim' },
    { name: 'action', label: 'What', placeholder: 'session.end' },
    { name: 'target', label: 'On what', placeholder: 'id' },
    { name: 'tenant', label: 'Tenant', placeholder: 'id' },
    { name: 'request', label: 'Request', placeholder: 'id' },
  ],
  columns: [
    { name: 'Time', width: 130, of: ({ created_at }) => <When at={created_at} /> },
    { name: 'Who', width: 180, of: ({ actor }) => actor },
    { name: 'What', width: 160, of: ({ action }) => action },
    { name: 'Outcome', width: 100, of: ({ outcome }) => <State value={outcome} /> },
    { name: 'On what', width: 130, of: ({ target }) => <Id value={target} /> },
    {
      name: 'Why',
      of: ({ details }) => (
        <span title={JSON.stringify(details, null, 2)}>
          {orDash(typeof details.why === 'string' ? details.why : JSON.stringify(details))}
        </span>
      ),
    },
    { name: 'Tenant', wide: true, width: 120, of: ({ tenant }) => orDash(tenant) },
    { name: 'From', wide: true, width: 130, of: ({ remote_address }) => orDash(remote_address) },
    { name: 'Request', wide: true, width: 120, of: ({ request_id }) => <Id value={request_id} /> },
  ],
};

export function AuditView() {
  return (
    <>
      <Title>Audit</Title>
      <List {...list} />
    </>
  );
}
