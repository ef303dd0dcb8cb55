import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { CreateSessionRequest } from '@greenroom/shared/protocol/platform-api.ts';
import { newId, newSecret } from '@greenroom/shared/runtime/ids.ts';
import { type Deadlines, hardDeadlineMs } from '@greenroom/shared/session/deadlines.ts';
import { type Caller, sha256 } from '../api/authenticate.ts';
import { bodyHash } from '../api/canonical-json.ts';
import type { Intent, SessionRow } from '../database/rows.ts';
import type { CreateResult, NewSession, SessionStore } from '../database/session-store.ts';
import { crashPoint } from '../fleet/crash-points.ts';
import { placeSession } from './placement.ts';
import { isRegion } from './regions.ts';

/** Creating a session: what the platform asked for, turned into one request to the database, and its answer. */
export interface CreateDeps {
  sessions: Pick<SessionStore, 'create'>;
  deadlines: Deadlines;
  orchestratorId: string;
  defaultRegion: string;
  workerImage: string;
  simulated: boolean;
  /** Whether this deployment can record video. */
  recordsVideo: boolean;
}

export interface CreateContext {
  caller: Caller;
  idempotencyKey: string | undefined;
  /** As Fly's proxy names it. */
  edgeRegion: string | undefined;
}

export type Created =
  | { kind: 'created'; session: SessionRow; intent: Intent; invitationCode: string }
  | { kind: 'replayed'; session: SessionRow };

const fieldError = (field: string, message: string): AppError =>
  new AppError('validation_failed', { fields: [{ field, message }] });

function requestedRegions({ region }: CreateSessionRequest): string[] {
  const requested = [region ?? []].flat();
  const unknown = requested.findIndex((code) => !isRegion(code));
  if (unknown < 0) return requested;
  const field = Array.isArray(region) ? `region.${unknown}` : 'region';
  throw fieldError(field, `${requested[unknown]} is not a region`);
}

/** The database's refusals, as the caller sees them. */
function refusal(result: Exclude<CreateResult, { kind: 'created' | 'replayed' }>): AppError {
  switch (result.kind) {
    case 'idempotency_mismatch':
      return new AppError('idempotency_mismatch');
    case 'quota_exceeded':
      return new AppError('tenant_quota_exceeded', {
        detail: `The tenant already has ${result.limit} live sessions, which is its limit.`,
        retryAfterS: 30,
      });
    case 'rate_limited':
      return new AppError('rate_limited', {
        detail: 'The tenant starts sessions faster than it may.',
        retryAfterS: Math.ceil(result.retry_after_ms / 1_000),
      });
    case 'duration_exceeded':
      return fieldError('max_duration_minutes', `at most ${Math.floor(result.limit / 60_000)} for this tenant`);
    case 'candidate_not_found':
      return fieldError('candidate_id', 'no such candidate');
    case 'position_not_found':
      return fieldError('position_id', 'no such position');
    case 'no_app':
      return new AppError('no_capacity', { detail: 'The tenant has no Fly app that is ready yet.', retryAfterS: 30 });
    case 'tenant_inactive':
      return new AppError('forbidden', { detail: 'The tenant is not active.' });
  }
}

export function createSessionCreator(deps: CreateDeps) {
  const { sessions, deadlines, orchestratorId, defaultRegion, workerImage, simulated } = deps;

  const toRequest = (body: CreateSessionRequest, context: CreateContext, invitationCode: string): NewSession => {
    const { caller, idempotencyKey, edgeRegion } = context;
    const requested = requestedRegions(body);
    const place = placeSession({ requested, edgeRegion, defaultRegion, allowed: caller.allowedRegions });
    const maxDurationMs =
      body.max_duration_minutes === undefined ? deadlines.maxDurationMs : body.max_duration_minutes * 60_000;
    const { candidate_id, candidate, position_id, position, settings = {}, metadata = {} } = body;
    return {
      ...{ candidate_id, candidate, position_id, position, settings, metadata, simulated },
      tenant_id: caller.tenantId,
      api_key_id: caller.keyId,
      user_id: caller.userId,
      session_id: newId(),
      machine_id: newId(),
      orchestrator_id: orchestratorId,
      regions: requested,
      first_region: place.region,
      region_reason: place.reason,
      max_duration_ms: maxDurationMs,
      expires_ms: deadlines.sessionExpiresMs,
      machine_life_ms: deadlines.createMs + deadlines.claimMs + hardDeadlineMs(deadlines, maxDurationMs),
      taken_ms: deadlines.intentTakenMs,
      image: workerImage,
      idempotency_key: idempotencyKey,
      body_hash: idempotencyKey === undefined ? undefined : bodyHash(body),
      invitation_hash: sha256(invitationCode),
    };
  };

  /** Throws AppError for every refusal. */
  return async (body: CreateSessionRequest, context: CreateContext): Promise<Created> => {
    if (body.settings?.record_video && !deps.recordsVideo)
      throw fieldError('settings.record_video', 'this deployment does not record video');
    const invitationCode = newSecret();
    const result = await sessions.create(toRequest(body, context, invitationCode));
    crashPoint('create.committed');
    if (result.kind === 'created') return { ...result, invitationCode };
    if (result.kind === 'replayed') return result;
    throw refusal(result);
  };
}
