import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { AuditEntry, RecordAudit } from '../database/audit-store.ts';

/**
 * Refused credentials in the audit log, without letting a flood fill it.
 *
 * X1  Of the same refusal (action, reason, address, actor) five are noted in a minute, of all together 300; the next that
 *     is noted says how many were left out before it.
 * X2  The note never delays the answer, and its failure changes nothing.
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

  /** X1. */
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
      logger.warn({ error, request_id: entry.request_id }, 'a refusal could not be audited'),
    );
  };
}
