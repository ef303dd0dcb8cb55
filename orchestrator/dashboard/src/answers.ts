/** What the operators' API answers, by the types of its own code. Types only: no code of the orchestrator is in the bundle. */
import type { OpsOverview, OpsSession, OpsSessionRow } from '../../src/database/operator-store.ts';
import type { Plan } from '../../src/ops/acts/act.ts';
import type { Attention } from '../../src/ops/reading/attention.ts';
import type { HourlyUsd } from '../../src/ops/reading/rates.ts';
import type { Explanation } from '../../src/ops/why/explain.ts';
import type { OperatorRole } from '../../src/tokens/operator-tokens.ts';

export type {
  OpsAuditEntry,
  OpsEvent,
  OpsHit,
  OpsHold,
  OpsMachine,
  OpsMachineRow,
  OpsPool,
  OpsRegion,
  OpsTenant,
  OpsTenantRow,
  OpsWork,
} from '../../src/database/operator-store.ts';
export type { Forecast } from '../../src/ops/reading/forecast.ts';
export type { Owner } from '../../src/ops/why/segments.ts';
export type { Attention, Explanation, OperatorRole, Plan };

export interface Me {
  name: string;
  role: OperatorRole;
  deployment_id: string;
  public_url: string;
  version: string;
  now: string;
}

type Verdict = { [Key in 'verdict' | 'over_ms' | 'sentence']: Explanation[Key] | null };
export type SessionRow = OpsSessionRow & Verdict;
export type SessionDocument = OpsSession & Verdict & { why: Explanation | null };
export type Overview = OpsOverview & { cost_per_hour: HourlyUsd; attention: Attention[] };

export interface Page<Row> {
  data: Row[];
  has_more: boolean;
  next_cursor: string | null;
}
