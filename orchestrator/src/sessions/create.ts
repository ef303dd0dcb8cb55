import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { CreateSessionRequest, SchedulePlan } from '@greenroom/shared/protocol/platform-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newId, newSecret } from '@greenroom/shared/runtime/ids.ts';
import { extraTimeMs } from '@greenroom/shared/session/adjustments.ts';
import { type Deadlines, unclaimedLifeMs } from '@greenroom/shared/session/deadlines.ts';
import { type Caller, sha256 } from '../access/authenticate.ts';
import type { Intent, SessionRow } from '../database/rows.ts';
import type { CreateResult, NewSession, SessionStore } from '../database/session-store.ts';
import { isCountry } from '../regions/countries.ts';
import type { RegionHealth } from '../regions/health.ts';
import { placeSession, type Wish } from '../regions/placement.ts';
import { currentRegion } from '../regions/regions.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { invitationContext, type Vault } from '../tokens/vault.ts';
import { planOf, scheduleProblem } from './schedule.ts';

/** Creates a session: turns the platform's request into one database call and its result into an answer. */
export interface CreateDeps {
  sessions: Pick<SessionStore, 'create'>;
  clock: Pick<Clock, 'now'>;
  health: RegionHealth;
  deadlines: Deadlines;
  orchestratorId: string;
  defaultRegion: string;
  workerImage: string;
  simulated: boolean;
  /** Whether this deployment can record video. */
  recordsVideo: boolean;
  vault: Pick<Vault, 'seal' | 'open'>;
  /** W3C trace context of the request that is running. */
  traceparent: () => string;
}

export interface CreateContext {
  caller: Caller;
  /** The Idempotency-Key of the request and the request's hash. */
  idempotency: { key: string; request_hash: string } | undefined;
  /** As Fly's proxy names it. */
  edgeRegion: string | undefined;
}

export type Created =
  /** Without an intent the session waits for its start time, for admission or for its candidate. */
  | {
      kind: 'created';
      session: SessionRow;
      intent: Intent | null;
      plan: SchedulePlan | null;
      invitationCode: string;
    }
  /** An earlier run of the same request made the session, and broke off before its answer was stored. */
  | { kind: 'replayed'; session: SessionRow; invitationCode: string | undefined };

const fieldError = (field: string, message: string): AppError =>
  new AppError('validation_failed', { fields: [{ field, message }] });

/** The candidate's place according to the body. Throws an AppError that names the field. */
function wishOf({ region, coordinates, country }: CreateSessionRequest, edgeRegion: string | undefined): Wish {
  if (coordinates !== undefined) return { kind: 'coordinates', at: coordinates };
  if (country !== undefined) {
    if (!isCountry(country)) throw fieldError('country', `${country} is not a country`);
    return { kind: 'country', code: country };
  }
  const codes = [region ?? []].flat();
  const unknown = codes.findIndex((code) => currentRegion(code) === undefined);
  if (unknown >= 0)
    throw fieldError(Array.isArray(region) ? `region.${unknown}` : 'region', `${codes[unknown]} is not a region`);
  return codes.length > 0 ? { kind: 'regions', codes } : { kind: 'none', edgeRegion };
}

/** Names the fields, but never the stored values: they may belong to another person. */
const candidateConflict = (conflicting: string[]): AppError =>
  new AppError('candidate_conflict', {
    detail: `Another ${conflicting.map((name) => name.replace('_', ' ')).join(' and ')} is stored for the candidate that these fields name. Send what is stored, or candidate_id.`,
    fields: conflicting.map((name) => ({ field: `candidate.${name}`, message: 'differs from the stored candidate' })),
  });

/** The errors that the caller sees for the database's refusals. */
function refusal(result: Exclude<CreateResult, { kind: 'created' | 'replayed' }>): AppError {
  switch (result.kind) {
    case 'idempotency_mismatch':
      return new AppError('idempotency_mismatch');
    case 'quota_exceeded':
      return new AppError('tenant_quota_exceeded', {
        detail: `The tenant already has ${result.limit} live sessions, which is its limit.`,
        retryAfterS: 30,
      });
    case 'queue_full':
      return new AppError('queue_full', {
        detail: `The tenant is at its limit, and its queue is full (${result.limit} sessions).`,
        retryAfterS: 60,
      });
    case 'no_capacity':
      return new AppError('no_capacity', {
        detail: 'All allowed regions were recently full, and no standby machine is left.',
        retryAfterS: 30,
      });
    case 'rate_limited':
      return new AppError('rate_limited', {
        detail: 'Session start rate exceeded.',
        retryAfterS: Math.ceil(result.retry_after_ms / 1_000),
      });
    case 'duration_exceeded':
      return fieldError('max_duration_minutes', `at most ${Math.floor(result.limit / 60_000)} for this tenant`);
    case 'candidate_not_found':
      return fieldError('candidate_id', 'no such candidate');
    case 'candidate_conflict':
      return candidateConflict(result.fields);
    case 'position_not_found':
      return fieldError('position_id', 'no such position');
    case 'no_app':
      return new AppError('no_capacity', { detail: 'No Fly app of the tenant is ready yet.', retryAfterS: 30 });
    case 'tenant_inactive':
      return new AppError('forbidden', { detail: 'The tenant is not active.' });
  }
}

const planFor = ({ session, ahead }: Extract<CreateResult, { kind: 'created' }>, { standbyBuildMs }: Deadlines) =>
  ahead === null || session.scheduled_at === null
    ? null
    : planOf(Date.parse(session.scheduled_at), ahead, standbyBuildMs);

/** The service's longest interview, ms. */
const longestMs = 180 * 60_000;

/** The maximum duration, the extra time included. Throws AppError if it is too long. */
function durationOf({ max_duration_minutes, settings }: CreateSessionRequest, deadlines: Deadlines): number {
  const plainMs = max_duration_minutes === undefined ? deadlines.maxDurationMs : max_duration_minutes * 60_000;
  const wholeMs = plainMs + extraTimeMs(settings?.adjustments ?? {}, plainMs);
  if (wholeMs > longestMs) throw fieldError('settings.adjustments', 'with extra time, at most 180 minutes');
  return wholeMs;
}

/** Maximum length of a tenant's queue. */
const maxQueued = 200;

export function createSessionCreator(deps: CreateDeps) {
  const { sessions, clock, health, deadlines, orchestratorId, defaultRegion, workerImage, simulated } = deps;

  const toRequest = (body: CreateSessionRequest, context: CreateContext, invitationCode: string): NewSession => {
    const { caller, idempotency, edgeRegion } = context;
    const wish = wishOf(body, edgeRegion);
    const place = placeSession({ wish, defaultRegion, allowed: caller.allowedRegions, health });
    const [firstRegion] = place.regions;
    if (firstRegion === undefined)
      throw new AppError('no_capacity', { detail: 'None of the regions that the tenant may use exists.' });
    const { candidate_id, candidate, position_id, position, settings = {}, metadata = {} } = body;
    const maxDurationMs = durationOf(body, deadlines);
    const sessionId = newId();
    return {
      ...{ candidate_id, candidate, position_id, position, settings, metadata, simulated },
      tenant_id: caller.tenantId,
      api_key_id: caller.keyId,
      user_id: caller.userId,
      session_id: sessionId,
      machine_id: newId(),
      orchestrator_id: orchestratorId,
      regions: place.regions,
      first_region: firstRegion,
      region_reason: place.reason,
      all_closed: place.allClosed,
      placement: body.placement ?? 'now',
      admission: body.admission ?? 'reject',
      max_queued: maxQueued,
      queue_ms: deadlines.queueMs,
      scheduled_at: body.scheduled_at,
      start_lead_ms: deadlines.scheduleLeadMs,
      max_duration_ms: maxDurationMs,
      expires_ms: deadlines.sessionExpiresMs,
      life_ms: unclaimedLifeMs(deadlines),
      taken_ms: deadlines.intentTakenMs,
      lease_ms: deadlines.leaseMs,
      image: workerImage,
      idempotency_key: idempotency?.key,
      request_hash: idempotency?.request_hash,
      sealed_code: idempotency && deps.vault.seal(invitationCode, invitationContext(sessionId)),
      invitation_hash: sha256(invitationCode),
      traceparent: deps.traceparent(),
    };
  };

  const openCode = (sessionId: string, sealed: string | null): string | undefined =>
    sealed === null ? undefined : deps.vault.open(sealed, invitationContext(sessionId));

  /** Throws AppError for every refusal. */
  return async (body: CreateSessionRequest, context: CreateContext): Promise<Created> => {
    if (body.settings?.record_video && !deps.recordsVideo)
      throw fieldError('settings.record_video', 'this deployment does not record video');
    const problem = body.scheduled_at === undefined ? undefined : scheduleProblem(body.scheduled_at, clock.now());
    if (problem !== undefined) throw fieldError('scheduled_at', problem);
    const invitationCode = newSecret();
    const result = await sessions.create(toRequest(body, context, invitationCode));
    crashPoint('create.committed');
    if (result.kind === 'created') return { ...result, plan: planFor(result, deadlines), invitationCode };
    if (result.kind === 'replayed')
      return { ...result, invitationCode: openCode(result.session.session_id, result.sealed_code) };
    throw refusal(result);
  };
}
