import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { requestView } from '@greenroom/shared/protocol/account.ts';
import { z } from 'zod';

/** An answered request of a tenant's key or user. No body, no parameter, no address. */
export interface AnsweredRequest {
  tenant_id: string;
  actor: string;
  request_id: string;
  method: string;
  /** The template of the path. */
  path: string;
  status: number;
  code: string | null;
  took_ms: number;
  created_at: string;
}

export type RequestRow = z.output<typeof requestView>;

export interface RequestStore {
  record(requests: AnsweredRequest[]): Promise<void>;
  /** Newest first. */
  list(tenantId: string, limit: number, filters: object, beforeId?: number): Promise<RequestRow[]>;
}

export const createRequestStore = (database: Database): RequestStore => ({
  record: async (requests) => {
    await callFunction(database, 'record_api_requests', { p_requests: requests }, z.undefined());
  },
  list: (tenantId, limit, filters, beforeId) =>
    callFunction(
      database,
      'list_api_requests',
      { p_tenant_id: tenantId, p_limit: limit, p_filters: filters, p_before_id: beforeId ?? null },
      z.array(requestView),
    ),
});
