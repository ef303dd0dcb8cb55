import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import type { AliveRow, Intent, RouteRow, SessionRow } from './database/rows.ts';
import { createScopes } from './tracing/scopes.ts';
import { createTracing } from './tracing/tracing.ts';

/** Values for tests. Each builder makes a valid one; the test passes what differs. */

export async function makeSigningKey(kid: string): Promise<JWK & { kid: string }> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid };
}

export const sessionId = '11111111-1111-4111-8111-111111111111';
export const tenantId = '22222222-2222-4222-8222-222222222222';
export const machineId = '33333333-3333-4333-8333-333333333333';
export const flyId = 'd8914e0c5d7568';

export async function makeEnvironment(): Promise<Record<string, string>> {
  const [db, join] = await Promise.all([makeSigningKey('db-1'), makeSigningKey('join-1')]);
  return {
    PUBLIC_URL: 'https://interviews.example.com/',
    DEPLOYMENT_ID: 'test',
    SUPABASE_URL: 'https://project.supabase.co',
    SUPABASE_PUBLISHABLE_KEY: 'sb_publishable_x',
    DB_SIGNING_KEY: JSON.stringify(db),
    JOIN_SIGNING_KEYS: JSON.stringify({ keys: [join] }),
    CREDENTIALS_KEY: randomBytes(32).toString('base64'),
    FLY_API_TOKEN: 'fo1_token',
    FLY_ORG: 'acme',
    WORKER_IMAGE: `registry.fly.io/worker@sha256:${'a'.repeat(64)}`,
    OPENAI_API_KEY: 'sk-test',
  };
}

/** As without an exporter. */
export const noTracing = createTracing({ scopes: createScopes(), recorder: undefined, clock: { now: Date.now } });

export const makeRoute = (changes: Partial<RouteRow> = {}): RouteRow => ({
  session_id: sessionId,
  tenant_id: tenantId,
  status: 'ready',
  state_rank: 40,
  epoch: 1,
  machine_id: machineId,
  machine_state: 'claimed',
  app_name: 'gr-acme-1',
  fly_machine_id: flyId,
  unconfirmed: false,
  silent: false,
  traceparent: null,
  ...changes,
});

export const makeIntent = (changes: Partial<Intent> = {}): Intent => ({
  machine_id: machineId,
  name: `gr-${machineId}`,
  tenant_id: tenantId,
  session_id: sessionId,
  app_name: 'gr-acme-1',
  region: 'fra',
  image: `registry.fly.io/worker@sha256:${'a'.repeat(64)}`,
  attempt: 1,
  action: 'create',
  hot: false,
  fly_machine_id: null,
  late: false,
  regions: ['fra'],
  allowed_regions: null,
  tried_regions: ['fra'],
  hard_deadline_at: '2026-11-21T12:00:00Z',
  traceparent: null,
  creation_traceparent: null,
  wait_ms: 0,
  ...changes,
});

export const makeAlive = (changes: Partial<AliveRow> = {}): AliveRow => ({
  machine_id: machineId,
  name: `gr-${machineId}`,
  app_name: 'gr-acme-1',
  fly_machine_id: flyId,
  state: 'claimed',
  reason: null,
  epoch: 1,
  session_id: sessionId,
  session_rank: 60,
  serves: true,
  hot: false,
  session_over_ms: null,
  state_ms: 10_000,
  last_heartbeat_at: '2026-11-21T10:00:00Z',
  hard_deadline_at: '2026-11-21T12:00:00Z',
  lease_lapsed: false,
  past_deadline: false,
  host_bad_ms: null,
  absent_ms: null,
  ...changes,
});

export const makeSession = (changes: Partial<SessionRow> = {}): SessionRow => ({
  session_id: sessionId,
  tenant_id: tenantId,
  status: 'ready',
  outcome: null,
  reason: null,
  presence: 'absent',
  region: 'fra',
  region_reason: 'requested',
  fly_machine_id: flyId,
  epoch: 1,
  simulated: true,
  test: false,
  metadata: {},
  settings: {},
  max_duration_ms: 3_000_000,
  end_requested_at: null,
  transcript_revision: 0,
  transcript_complete: false,
  video_recording_url: null,
  placement: 'now',
  admission: 'reject',
  scheduled_at: null,
  queue: null,
  created_at: '2026-11-21T10:00:00.123456+00:00',
  updated_at: '2026-11-21T10:00:00.123456+00:00',
  expires_at: '2026-11-22T10:00:00+00:00',
  ready_at: null,
  started_at: null,
  completed_at: null,
  consent_withdrawn_at: null,
  interview_context: {
    position: { id: '44444444-4444-4444-8444-444444444444', title: 'Engineer', description: null },
    candidate: { id: '55555555-5555-4555-8555-555555555555', name: 'Ada', email: null, external_id: null },
  },
  ...changes,
});

/** Resolves when the condition holds. Has no limit of its own; the test's time limit applies. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve));
}
