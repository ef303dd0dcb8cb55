import * as z from 'zod';
import { uuid } from './common.ts';

/**
 * The tokens of the product: who signs them, who verifies them, and what they permit.
 *
 * Signed with the `join` key pair (ES256, `kid`, `iss` = the orchestrator's public URL, `aud` as below, `exp`):
 *   join        browser → edge and worker: the first connection to one session; valid for minutes
 *   reconnect   browser → edge and worker: later connections; valid as long as the session
 *   transcript  browser → Edge Function: appends its own copies, unverified; valid until a day after the session's end
 *   replay      edge → worker through Fly's proxy: this socket was admitted for this epoch; valid for a minute
 * Signed with the `db` key pair:
 *   worker      worker → Supabase and worker API: role session_worker, one session, one machine, one epoch
 *   orchestrator  orchestrator → Supabase: role orchestrator
 */
export const audiences = {
  join: 'greenroom:join',
  reconnect: 'greenroom:reconnect',
  replay: 'greenroom:replay',
  transcript: 'greenroom:transcript',
  workerApi: 'greenroom:worker-api',
  /** The audience that PostgREST requires. */
  database: 'authenticated',
} as const;

export const sessionClaims = z.object({
  session_id: uuid,
  tenant_id: uuid,
  /**
   * In a reconnect token: the machine that served the session when it was minted. The edge uses it while the
   * database is away.
   */
  route: z.object({ app: z.string(), instance: z.string(), epoch: z.number().int().min(1) }).optional(),
});
export const replayClaims = sessionClaims.extend({
  epoch: z.number().int().min(1),
  /** How long the edge held the socket, ms. */
  waited_ms: z.number().int().min(0).max(3_600_000).optional(),
});
export const workerClaims = z.object({
  role: z.literal('session_worker'),
  session_id: uuid,
  tenant_id: uuid,
  machine_id: uuid,
  epoch: z.number().int().min(1),
});
export type WorkerClaims = z.output<typeof workerClaims>;

/** The claims of a Fly machine's OIDC token that we rely on. Source: fly.io/docs/security/openid-connect */
export const machineIdentity = z.object({
  app_name: z.string(),
  org_name: z.string(),
  machine_id: z.string(),
  machine_name: z.string(),
  region: z.string(),
  image_digest: z.string().optional(),
});
export type MachineIdentity = z.output<typeof machineIdentity>;
