import type { MachineIdentity } from '@greenroom/shared/protocol/tokens.ts';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { parseTraceparent } from '@greenroom/shared/runtime/trace-context.ts';
import { sessionRanks } from '@greenroom/shared/session/states.ts';
import type { Config } from '../config.ts';
import type { ClaimRow, RouteRow } from '../database/rows.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';
import type { DatabaseTokens } from '../tokens/database-tokens.ts';
import type { Vault } from '../tokens/vault.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { openCallCredential } from '../voice/call-credentials.ts';
import { realtimeSession } from '../voice/interviewer.ts';
import { iceServersFor } from '../voice/relays.ts';
import { scriptedSessionOf } from '../voice/scripted.ts';

type Claimed = Extract<ClaimRow, { kind: 'claimed' }>;

export interface ClaimAnswerDeps {
  config: Pick<Config, 'supabase' | 'voice' | 'deadlines' | 'publicUrl' | 'transcriptUploadUrl' | 'relays'>;
  clock: Pick<Clock, 'now'>;
  browserTokens: BrowserTokens;
  databaseTokens: DatabaseTokens;
  vault: Vault;
  tracing: Pick<Tracing, 'isOn'>;
}

/** The route to the worker that made this claim. */
export const routeOfClaim = (
  { session, machine_id, traceparent }: Claimed,
  { app_name, machine_id: fly_machine_id }: Pick<MachineIdentity, 'app_name' | 'machine_id'>,
): RouteRow => ({
  session_id: session.session_id,
  tenant_id: session.tenant_id,
  status: session.status,
  state_rank: sessionRanks[session.status],
  epoch: session.epoch,
  machine_id,
  machine_state: 'claimed',
  ...{ app_name, fly_machine_id, unconfirmed: false, silent: false, traceparent },
});

const unixMs = (time: string | null): number | null => (time === null ? null : Date.parse(time));

/**
 * The open call that a replacement machine takes over. Null without the call's credential, which attaching
 * needs.
 */
function openCallOf(
  { open_call: call, session }: Claimed,
  { vault, config }: Pick<ClaimAnswerDeps, 'vault' | 'config'>,
): ClaimResponse['open_call'] {
  if (call?.credential_ciphertext == null) return null;
  const { ordinal } = call;
  const credential = openCallCredential(vault, call.credential_ciphertext, { session_id: session.session_id, ordinal });
  const realtime = session.test
    ? scriptedSessionOf(session)
    : realtimeSession(session, config.voice, call.interviewer_template);
  return { ordinal, call_id: call.call_id, credential, session: realtime };
}

/** A worker records spans if this orchestrator exports them and the session's trace is one that is exported. */
const traceOf = ({ traceparent }: Claimed, isOn: boolean): Pick<ClaimResponse, 'trace'> =>
  traceparent === null
    ? {}
    : { trace: { traceparent, wanted: isOn && parseTraceparent(traceparent)?.sampled === true } };

/**
 * The answer to a successful claim: everything the worker needs for its session. Its credentials are tokens
 * that expire; standing keys are not among them.
 */
export async function answerClaim(
  claimed: Claimed,
  { app_name: app, machine_id: instance }: Pick<MachineIdentity, 'app_name' | 'machine_id'>,
  deps: ClaimAnswerDeps,
): Promise<ClaimResponse> {
  const { config, browserTokens, databaseTokens } = deps;
  const { session, machine_id } = claimed;
  const ids = { session_id: session.session_id, tenant_id: session.tenant_id };
  const route = { app, instance, epoch: session.epoch };
  const [workerToken, reconnectToken, transcriptToken] = await Promise.all([
    databaseTokens.mintWorker({ ...ids, role: 'session_worker', machine_id, epoch: session.epoch }),
    browserTokens.mintReconnect({ ...ids, route }, session.max_duration_ms),
    browserTokens.mintTranscript(ids, session.max_duration_ms),
  ]);
  return {
    machine_id,
    session: {
      id: session.session_id,
      tenant_id: session.tenant_id,
      epoch: session.epoch,
      status: session.status,
      max_duration_ms: session.max_duration_ms,
      started_at: unixMs(session.started_at),
      simulated: session.simulated,
      // An empty list allows any origin. A non-empty one must include our own, because the room page is served from it.
      allowed_origins:
        claimed.allowed_origins.length === 0 ? [] : [...claimed.allowed_origins, new URL(config.publicUrl).origin],
    },
    worker_token: workerToken,
    now: deps.clock.now(),
    supabase: { url: config.supabase.url, publishable_key: config.supabase.publishableKey },
    join_keys: browserTokens.keys.jwks,
    join_issuer: browserTokens.issuer,
    reconnect_token: reconnectToken,
    transcript_token: transcriptToken,
    transcript_url: config.transcriptUploadUrl,
    ...(config.relays.servers.length === 0
      ? {}
      : { ice_servers: iceServersFor(session.session_id, session.max_duration_ms, config.relays, deps.clock) }),
    realtime: {
      adapter: session.test ? 'scripted' : 'openai',
      webrtc_filter: config.voice.provider === 'azure',
    },
    open_call: openCallOf(claimed, deps),
    next_ordinal: claimed.next_ordinal,
    deadlines: config.deadlines,
    directive: claimed.directive,
    ...traceOf(claimed, deps.tracing.isOn),
  };
}
