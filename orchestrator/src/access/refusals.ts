import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { AuditEntry, RecordAudit } from '../database/audit-store.ts';

/**
 * Writes refused credentials to the audit log, with limits so that a flood of them cannot fill the table.
 *
 * - At most five equal refusals (same action, reason, address and actor) and 300 in all are written per minute.
 *   The next entry says how many were left out before it.
 * - The response does not wait for the write. A failed write is only logged.
 */
export type NoteRefusal = (entry: Omit<AuditEntry, 'outcome'>) => void;

export interface RefusalDeps {
  record: RecordAudit;
  clock: Clock;
  logger: Logger;
}

const windowMs = 60_000;
const perKind = 5;
const inAll = 300;

const kindOf = ({ action, details, remote_address, actor }: Omit<AuditEntry, 'outcome'>): string =>
  [action, String(details?.why ?? ''), remote_address ?? '', actor].join('\n');

export function createRefusalLog({ record, clock, logger }: RefusalDeps): NoteRefusal {
  let startedMs = Number.NEGATIVE_INFINITY;
  let noted = new Map<string, number>();
  let total = 0;
  let leftOut = 0;

  const admits = (kind: string): boolean => {
    if (clock.monotonicMs() - startedMs >= windowMs) {
      startedMs = clock.monotonicMs();
      noted = new Map();
      total = 0;
    }
    const count = noted.get(kind) ?? 0;
    if (total >= inAll || count >= perKind) return false;
    noted.set(kind, count + 1);
    total += 1;
    return true;
  };

  return (entry) => {
    if (!admits(kindOf(entry))) {
      leftOut += 1;
      return;
    }
    const details = { ...entry.details, ...(leftOut > 0 ? { left_out_before: leftOut } : {}) };
    leftOut = 0;
    record({ ...entry, outcome: 'refused', details }).catch((error: unknown) =>
      logger.warn({ error, request_id: entry.request_id }, 'could not write a refusal to the audit log'),
    );
  };
}
