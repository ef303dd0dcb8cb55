/**
 * Every timing of the product, in one place. Milliseconds, always, and the name says so.
 * What happens when each passes stands beside it; the order of every pair that depends on another is asserted in
 * `deadlines.test.ts`. Each can be set by the environment variable named like it in capitals (`HEARTBEAT_MS`).
 */
export const defaultDeadlines = {
  /** A worker renews its lease this often. */
  heartbeatMs: 5_000,
  /** Orchestrators write the heartbeats they have received to Postgres this often, in one batch. */
  heartbeatFlushMs: 1_000,
  /** A lease that was not renewed for this long has lapsed: suspicion, never evidence. */
  leaseMs: 20_000,
  /** An orchestrator holds its duties (reconciling, housekeeping) this long; one that is killed is replaced after it. */
  dutyLeaseMs: 2_000,
  /** Duties are renewed, and free ones taken, this often. */
  dutyRenewMs: 500,
  /** Due intents that nobody executes are looked for this often. */
  intentScanMs: 1_000,
  /** Fly says that a host is not ok for this long, and its worker's lease has lapsed: the machine is lost. */
  hostGraceMs: 15_000,
  /** A returning browser could not be connected twice, this far apart: its machine is given up. */
  unreachableGapMs: 2_000,
  /** The second of those must come within this. */
  unreachableWindowMs: 60_000,
  /** A worker that has lost its lease ends itself after this long. Never sooner: the control plane may be away. */
  leaseLostMs: 600_000,
  /** Standby machine asked to start and not `started` by then: the next standby is tried. */
  standbyStartMs: 10_000,
  /** Pools are planned and filled, due schedules begun and the queue served this often. */
  poolTickMs: 1_000,
  /** From asking for a standby machine until it can be started, as planning assumes: pull and unpack on a new host. */
  standbyBuildMs: 30_000,
  /** A scheduled session's machine is started this long before its time: three starts may fail. */
  scheduleLeadMs: 30_000,
  /** Schedules are planned for this far ahead. */
  scheduleHorizonMs: 21_600_000,
  /** Unscheduled demand is a mean that fades over this. */
  demandWindowMs: 300_000,
  /** A session that waits at its tenant's limit and is not admitted by then expires (`admission_timeout`). */
  queueMs: 600_000,
  /** Machine asked for and not `started` by then: a hedge in the next region; the first claim wins. */
  createMs: 45_000,
  /** Machine started and not claimed by then: given up, and the worker exits by itself. */
  claimMs: 30_000,
  /** The edge holds a candidate's upgrade request this long for a ready worker, then closes with 4503. */
  edgeWaitMs: 20_000,
  /** Fly's proxy tries this long to reach the machine before it gives the request back to the edge. */
  replayTimeoutMs: 10_000,
  /** How long a signed replay state is good for. Covers the edge's wait and the proxy's attempts. */
  replayStateMs: 60_000,
  /** Ready, and no candidate by then: the session expires (`candidate_never_joined`). */
  neverJoinedMs: 900_000,
  /** The socket is up and no SDP offer came by then: the session ends (`call_not_established`). */
  offerMs: 120_000,
  /**
   * After the first SDP offer: neither did the browser say that a call is connected, nor was the candidate heard or read. The
   * session ends (`call_not_established`).
   */
  noMediaMs: 105_000,
  /** The candidate's socket is gone and has not come back by then: `candidate_left`. */
  reconnectGraceMs: 120_000,
  /** The longest interview unless the session says otherwise. */
  maxDurationMs: 3_000_000,
  /** The candidate is warned this long before the maximum duration. */
  durationWarningMs: 300_000,
  /** A realtime call is rolled over to a new one at this age, at a turn boundary (the provider's cap is 60 min). */
  callRolloverMs: 3_300_000,
  /** The whole teardown of a worker; its phases share it. */
  teardownMs: 60_000,
  /** Given to Fly as `stop_config.timeout`: SIGTERM to SIGKILL. */
  stopTimeoutMs: 90_000,
  /** Beyond maximum duration and teardown: the reaper destroys the machine within two ticks of this. */
  hardDeadlineSlackMs: 30_000,
  /** Reconciler, reaper and due-intent scan run this often. */
  reconcileTickMs: 5_000,
  /** A due intent belongs to whoever took it for this long; then another may take it. */
  intentTakenMs: 2_000,
  /** Two GETs that find a machine absent must lie this far apart to count as absence. */
  absenceGraceMs: 3_000,
  /** The provider answers every hang-up of a call with "no such call" for this long: it is over. One may be a mistake. */
  callMissingMs: 10_000,
  /** One request to the voice provider. */
  providerRequestMs: 10_000,
  /** An SDP answer waits this long for the sideband; then the interview begins without it, and it is tried on. */
  sidebandReadyMs: 5_000,
  /** A call without its sideband for this long is given up for another one. */
  sidebandLostMs: 20_000,
  /** The interviewer begins this long after the call was answered, even if the browser never said that it is connected. */
  callConnectMs: 10_000,
  /** The interviewer has called its `end_session` tool: each step of its goodbye may take this long. */
  goodbyeMs: 30_000,
  /** One request to the model that summarises and evaluates; a take of a result lasts half as long again. */
  evaluationRequestMs: 120_000,
  /** Due evaluations and recordings are looked for this often. */
  finishingTickMs: 1_000,
  /** One request to api.video. */
  videoRequestMs: 10_000,
  /** An upload token is deleted this long after its session's end: the last parts may still be under way. */
  videoGraceMs: 60_000,
  /** One request to Fly that does not itself wait. */
  flyRequestMs: 15_000,
  /** One request to Supabase. */
  databaseRequestMs: 10_000,
  /** Life of a worker's token; heartbeats bring a fresh one when half of it is over. Outlasts the loss of the lease. */
  workerTokenMs: 1_800_000,
  /** A worker that has said its last word and whose machine is still there after this is destroyed by force. */
  drainingMs: 10_000,
  /** The edge and `Prefer: wait` look for readiness this often, all of them in one read. */
  readinessPollMs: 100,
  /** Watchers of events look for new ones this often, all of them in one read. */
  eventsPollMs: 300,
  /** Life of a join token: the first connection only. */
  joinTokenMs: 900_000,
  /** A session nobody used is expired this long after it was created (or after its scheduled start). */
  sessionExpiresMs: 86_400_000,
  /** A `transcript:append` token outlives its session by this. */
  transcriptTokenMs: 86_400_000,
  /** Entries of the transcript wait at most this long for company before they are written. */
  transcriptBatchMs: 250,
  /** After the hang-up a worker waits this long for transcripts that are still being made. */
  lateTranscriptMs: 5_000,
  /** Messages of a candidate's socket are answered with `ping` frames this often; two missed ones close it. */
  socketPingMs: 10_000,
} as const;

export type Deadlines = { readonly [K in keyof typeof defaultDeadlines]: number };

/** The environment variable that sets a deadline: `heartbeatMs` → `HEARTBEAT_MS`. */
export const deadlineVariable = (name: string): string => name.replaceAll(/([A-Z])/g, '_$1').toUpperCase();

/** Machine's hard deadline, counted from its claim. */
export const hardDeadlineMs = (deadlines: Deadlines, maxDurationMs: number): number =>
  deadlines.neverJoinedMs + maxDurationMs + deadlines.teardownMs + deadlines.hardDeadlineSlackMs;
