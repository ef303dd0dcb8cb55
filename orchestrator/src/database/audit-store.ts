import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { auditView } from '@greenroom/shared/protocol/account.ts';
import { z } from 'zod';

/** One line of the audit log. Never a credential. */
export interface AuditEntry {
  tenant_id?: string | undefined;
  actor: string;
  action: string;
  target?: string | undefined;
  outcome: 'done' | 'refused';
  remote_address?: string | undefined;
  request_id?: string | undefined;
  details?: Record<string, unknown>;
}

/** What a SQL function records in the audit log with an administrative act. */
export interface ActBy {
  actor: string;
  remote_address: string;
  request_id: string;
}

export type RecordAudit = (entry: AuditEntry) => Promise<void>;

export const createRecordAudit =
  (database: Database): RecordAudit =>
  async (entry) => {
    await callFunction(database, 'record_audit', { p_entry: entry }, z.undefined());
  };

export type AuditRow = z.output<typeof auditView>;
export type ListAudit = (tenantId: string, limit: number, filters: object, beforeId?: number) => Promise<AuditRow[]>;

/** A tenant's entries, newest first. */
export const createListAudit =
  (database: Database): ListAudit =>
  (tenantId, limit, filters, beforeId) =>
    callFunction(
      database,
      'list_audit',
      { p_tenant_id: tenantId, p_limit: limit, p_filters: filters, p_before_id: beforeId ?? null },
      z.array(auditView),
    );
