/**
 * The registry of error codes. A code is never reused for another meaning. `docs/errors.md` lists the same codes; a test
 * compares them. `status` is the HTTP status, `retryable` says whether the same request may succeed later.
 */
export const errorCodes = {
  invalid_json: { status: 400, retryable: false, title: 'The body is not JSON' },
  validation_failed: { status: 422, retryable: false, title: 'A field is missing or wrong' },
  unsupported_media_type: { status: 415, retryable: false, title: 'The body must be application/json' },
  body_too_large: { status: 413, retryable: false, title: 'The body is too large' },
  unauthenticated: { status: 401, retryable: false, title: 'No valid credential was sent' },
  forbidden: { status: 403, retryable: false, title: 'The credential does not permit this' },
  tenant_required: { status: 400, retryable: false, title: 'The request does not name a tenant' },
  not_found: { status: 404, retryable: false, title: 'Not found' },
  method_not_allowed: { status: 405, retryable: false, title: 'This route does not allow the method' },
  conflict: { status: 409, retryable: false, title: 'The request conflicts with the current state' },
  candidate_conflict: { status: 409, retryable: false, title: 'The candidate differs from the stored one' },
  idempotency_mismatch: { status: 422, retryable: false, title: 'The Idempotency-Key was used with another body' },
  idempotency_in_progress: { status: 409, retryable: true, title: 'The same request is still running' },
  session_ended: { status: 409, retryable: false, title: 'The session has ended' },
  invitation_invalid: { status: 410, retryable: false, title: 'The invitation is no longer valid' },
  handover_refused: { status: 403, retryable: false, title: 'The hand-over code is wrong or has expired' },
  invitation_used: { status: 409, retryable: false, title: 'The invitation was used in another browser' },
  not_joinable: { status: 409, retryable: true, title: 'The session cannot be joined yet' },
  consent_required: { status: 409, retryable: false, title: 'The candidate has not consented yet' },
  tenant_quota_exceeded: { status: 429, retryable: true, title: 'The tenant is at its limit' },
  queue_full: { status: 429, retryable: true, title: 'The tenant is at its limit and its queue is full' },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  no_capacity: { status: 503, retryable: true, title: 'No capacity in any allowed region' },
  database_unavailable: { status: 503, retryable: true, title: 'The database is not reachable' },
  overloaded: { status: 503, retryable: true, title: 'This orchestrator is overloaded' },
  shutting_down: { status: 503, retryable: true, title: 'This orchestrator is shutting down' },
  worker_identity_refused: { status: 401, retryable: false, title: 'The worker could not prove its identity' },
  claim_refused: { status: 409, retryable: false, title: 'This machine may not serve the session' },
  claim_too_early: { status: 425, retryable: true, title: 'An earlier boot of this machine may still be alive' },
  fenced: { status: 409, retryable: false, title: 'Another machine serves the session now' },
  provider_auth_failed: { status: 502, retryable: false, title: 'The voice provider rejected the API key' },
  provider_rate_limited: { status: 503, retryable: true, title: 'The rate limit of the voice provider is exceeded' },
  provider_unavailable: { status: 502, retryable: true, title: 'The voice provider is unavailable' },
  invalid_message: { status: 400, retryable: false, title: 'The message is not valid' },
  unknown_message: { status: 400, retryable: false, title: 'The message type is not known' },
  invalid_sdp: { status: 400, retryable: false, title: 'The SDP offer is not valid' },
  not_initialized: { status: 409, retryable: true, title: 'Send init_session first' },
  call_not_allowed: { status: 409, retryable: false, title: 'No call can be started now' },
  recording_url_refused: { status: 400, retryable: false, title: 'A recording URL from the browser is not accepted' },
  internal_error: { status: 500, retryable: true, title: 'Something went wrong on our side' },
} as const;

export type ErrorCode = keyof typeof errorCodes;
export const errorCodeNames = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]];
