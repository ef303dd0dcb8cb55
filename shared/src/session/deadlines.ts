/**
 * The timings that the orchestrator and the worker share, or that depend on each other, in milliseconds. Timings that concern one
 * component only stand there. Each comment says what happens when the time has passed. `deadlines.test.ts` checks the order of
 * dependent pairs. Each can be set by an environment variable of the same name (`heartbeatMs`: `HEARTBEAT_MS`).
 */
export const defaultDeadlines = {
  /** Interval at which a worker renews its lease. */
  heartbeatMs: 5_000,
  /** Interval at which an orchestrator writes the received heartbeats to Postgres, in one batch. */
  heartbeatFlushMs: 1_000,
  /** A lease that was not renewed for this long has expired. Its worker is then probed; an expired lease alone ends no session. */
  leaseMs: 20_000,
  /** Lease of an orchestrator's duties (reconciling, housekeeping). Another orchestrator takes over after this time. */
  dutyLeaseMs: 2_000,
  /** Interval at which duties are renewed and free ones taken. */
  dutyRenewMs: 500,
  /** Interval of the search for due intents that no orchestrator holds. */
  intentScanMs: 1_000,
  /** A machine is lost when Fly has reported its host as not ok for this long and its worker's lease has expired. */
  hostGraceMs: 15_000,
  /** A machine is given up when a returning browser could not be connected twice, with at least this time in between. */
  unreachableGapMs: 2_000,
  /** The second failed connection counts only within this time. */
  unreachableWindowMs: 60_000,
  /** A worker that cannot renew its lease ends itself after this time. Not earlier: the control plane may only be unreachable. */
  leaseLostMs: 600_000,
  /** If a standby machine is not `started` this long after the request, the next standby machine is tried. */
  standbyStartMs: 10_000,
  /** An orchestrator holds the claim of a hot worker for this long while the worker has no session. Then the worker claims again. */
  hotHoldMs: 10_000,
  /** A hot machine that was assigned and has not claimed its session by then is replaced. */
  hotClaimMs: 2_000,
  /** A hot machine of this age is replaced. Its hard deadline is twice this time. */
  hotLifeMs: 3_600_000,
  /** Interval at which pools are filled, due scheduled sessions started and queued sessions admitted. */
  poolTickMs: 1_000,
  /** Planning assumes this time from the create request until a standby machine can be started (pull and unpack on a new host). */
  standbyBuildMs: 30_000,
  /** A scheduled session's machine is started this long before the start time, which leaves room for three failed starts. */
  scheduleLeadMs: 30_000,
  /** Scheduled sessions are planned this far ahead. */
  scheduleHorizonMs: 21_600_000,
  /** Time constant of the decaying average of unscheduled demand. */
  demandWindowMs: 300_000,
  /** A queued session that is not admitted by then expires (`admission_timeout`). */
  queueMs: 600_000,
  /** If a machine is not `started` this long after the create request, a hedge starts in the next region. The first claim wins. */
  createMs: 45_000,
  /** A started machine that has not claimed by then is given up. Its worker exits by itself. */
  claimMs: 30_000,
  /** The edge holds a candidate's upgrade request this long while it waits for a ready worker. Then it closes with 4503. */
  edgeWaitMs: 20_000,
  /** Fly's proxy tries to reach the machine for this long before it returns the request to the edge. */
  replayTimeoutMs: 10_000,
  /** The same for a hot machine that has not claimed its session yet: it listens already. */
  hotReplayMs: 1_000,
  /** Lifetime of a signed replay state. It covers the edge's wait and the proxy's attempts. */
  replayStateMs: 60_000,
  /** A ready session without a candidate by then expires (`candidate_never_joined`). */
  neverJoinedMs: 900_000,
  /** If no SDP offer came this long after the socket opened, the session ends (`call_not_established`). */
  offerMs: 120_000,
  /**
   * The session ends (`call_not_established`) this long after the first SDP offer if the browser reported no connected call and
   * the candidate has neither spoken nor typed.
   */
  noMediaMs: 105_000,
  /** If the candidate's socket has not come back by then, the session ends (`candidate_left`). */
  reconnectGraceMs: 120_000,
  /** Maximum duration of an interview, unless the session sets another. */
  maxDurationMs: 3_000_000,
  /** The candidate is warned this long before the maximum duration. */
  durationWarningMs: 300_000,
  /** A realtime call is rolled over to a new one at this age, at a turn boundary (the provider's cap is 60 min). */
  callRolloverMs: 3_300_000,
  /** Limit of a worker's whole teardown, shared by its phases. */
  teardownMs: 60_000,
  /** `stop_config.timeout` at Fly: the time between SIGTERM and SIGKILL. */
  stopTimeoutMs: 90_000,
  /** Added to maximum duration and teardown for the hard deadline. The reaper destroys the machine within two ticks after it. */
  hardDeadlineSlackMs: 30_000,
  /** Interval of reconciler and reaper. */
  reconcileTickMs: 5_000,
  /** An orchestrator holds a due intent for this long. Then another may take it. */
  intentTakenMs: 2_000,
  /** A machine counts as absent after two GETs without it, with at least this time in between. */
  absenceGraceMs: 3_000,
  /** A call is over when the provider has answered every hang-up with "no such call" for this long. One answer may be wrong. */
  callMissingMs: 10_000,
  /** Limit of one request to the voice provider. */
  providerRequestMs: 10_000,
  /** A new call without a sideband by then goes on with the browser's copies of the transcript. Attaching is retried. */
  sidebandReadyMs: 5_000,
  /** A call that has no sideband for this long is replaced by a new call. */
  sidebandLostMs: 20_000,
  /** The interviewer begins this long after the call was answered even if the browser has not reported that it is connected. */
  callConnectMs: 10_000,
  /** Limit of each step of the interviewer's goodbye after its `end_session` tool call. */
  goodbyeMs: 30_000,
  /** Limit of one request to the model that summarises and evaluates. The lease of a result is half as long again. */
  evaluationRequestMs: 120_000,
  /** Interval of the search for due evaluations and recordings. */
  finishingTickMs: 1_000,
  /** Limit of one request to api.video. */
  videoRequestMs: 10_000,
  /** An upload token is deleted this long after the session's end, because the last parts are uploaded after it. */
  videoGraceMs: 60_000,
  /** Limit of one request to Fly, without the time that Fly was asked to wait. */
  flyRequestMs: 15_000,
  /** Limit of one request to Supabase. */
  databaseRequestMs: 10_000,
  /** Lifetime of a worker's token. Heartbeats renew it after half of this time. It is longer than `leaseLostMs`. */
  workerTokenMs: 1_800_000,
  /** A machine that still exists this long after its worker's final report is destroyed by force. */
  drainingMs: 10_000,
  /** Interval at which the edge and `Prefer: wait` check for readiness, with one read for all waiting requests. */
  readinessPollMs: 100,
  /** Interval at which new events are read, with one read for all event streams. */
  eventsPollMs: 300,
  /** Lifetime of a join token. It is needed for the first connection only. */
  joinTokenMs: 900_000,
  /** An unused session expires this long after its creation, or after its scheduled start. */
  sessionExpiresMs: 86_400_000,
  /** A `transcript:append` token is valid for this long after the session's end. */
  transcriptTokenMs: 86_400_000,
  /** A transcript entry waits at most this long for others before the batch is written. */
  transcriptBatchMs: 250,
  /** After the hang-up a worker waits this long for transcripts that the provider is still producing. */
  lateTranscriptMs: 5_000,
  /** Interval of `ping` frames on the candidate's socket. Two missed answers close it. */
  socketPingMs: 10_000,
} as const;

export type Deadlines = { readonly [K in keyof typeof defaultDeadlines]: number };

/** The environment variable that sets a deadline: `heartbeatMs` → `HEARTBEAT_MS`. */
export const deadlineVariable = (name: string): string => name.replaceAll(/([A-Z])/g, '_$1').toUpperCase();

/** A machine's allowed life from its claim on, without its session's maximum duration. */
export const claimedLifeMs = (deadlines: Deadlines): number =>
  deadlines.neverJoinedMs + deadlines.teardownMs + deadlines.hardDeadlineSlackMs;

/** A machine's allowed life from its assignment until its claim: it must first be created and boot. */
export const unclaimedLifeMs = (deadlines: Deadlines): number =>
  deadlines.createMs + deadlines.claimMs + claimedLifeMs(deadlines);

/** A machine's hard deadline, counted from its claim. */
export const hardDeadlineMs = (deadlines: Deadlines, maxDurationMs: number): number =>
  claimedLifeMs(deadlines) + maxDurationMs;
