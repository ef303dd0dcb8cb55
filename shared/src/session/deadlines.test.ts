import { describe, expect, test } from 'vitest';
import { defaultDeadlines as d, deadlineVariable } from './deadlines.ts';

/** Each line: the consequence of a wrong order, and the condition that excludes it. */
const orders: Array<[string, boolean]> = [
  ['a worker would lose its lease between two heartbeats', d.heartbeatMs * 3 < d.leaseMs],
  ['an orchestrator would hold heartbeats longer than workers send them', d.heartbeatFlushMs < d.heartbeatMs],
  ['a live interview would end when the control plane is away briefly', d.leaseLostMs > d.leaseMs * 10],
  ['a hot worker would lose its lease while its claim is held', d.hotHoldMs + d.heartbeatMs < d.leaseMs],
  ['a hot worker would be replaced before the poll has told it', d.hotClaimMs >= d.readinessPollMs * 10],
  ['the proxy would try longer than a hot machine has for its claim', d.hotReplayMs < d.hotClaimMs],
  ['a hot machine would be retired while it boots', d.hotLifeMs > (d.createMs + d.claimMs) * 10],
  ['a hedge would start before Fly had a chance', d.createMs > d.standbyStartMs],
  ['a failed start would make a scheduled session late', d.scheduleLeadMs >= d.standbyStartMs * 3],
  ['standby machines would be planned for later than they are needed', d.standbyBuildMs > d.poolTickMs * 10],
  ['the proxy would try longer than the replay state is valid', d.replayTimeoutMs + d.edgeWaitMs < d.replayStateMs],
  ['Fly would kill a worker in the middle of its teardown', d.stopTimeoutMs > d.teardownMs],
  ['the provider would cut a call before we roll it over', d.callRolloverMs < 3_600_000],
  ['the default interview would need a second call', d.maxDurationMs < d.callRolloverMs],
  ['the warning would come before the interview began', d.durationWarningMs < d.maxDurationMs],
  ['a candidate would be given up while the edge still waits', d.reconnectGraceMs > d.edgeWaitMs],
  ['an intent would be retaken only after its request has timed out', d.intentTakenMs < d.flyRequestMs],
  ['a duty would be lost between two renewals', d.dutyRenewMs * 3 < d.dutyLeaseMs],
  ['duties would rest for more than 3 s after an orchestrator died', d.dutyLeaseMs + d.dutyRenewMs < 3_000],
  ['an intent of a dead orchestrator would wait for more than 3 s', d.intentTakenMs + d.intentScanMs <= 3_000],
  ['a migrated machine would stop claiming before the lease of its first boot has expired', d.claimMs > d.leaseMs],
  ['one short failure would count as two', d.unreachableGapMs > d.heartbeatFlushMs],
  ['waiting for late transcripts would use up the teardown', d.lateTranscriptMs < d.teardownMs / 2],
  ['the browser would give up before a slow sideband is given up', d.sidebandReadyMs < d.providerRequestMs],
  ['a call would be replaced while it still waits for its sideband', d.sidebandLostMs > d.sidebandReadyMs * 2],
  ['a session without media would last two minutes', d.noMediaMs + d.lateTranscriptMs < 120_000],
  ['a slow connection would count as no media', d.noMediaMs > d.callConnectMs * 6],
  ['the transcript would appear late on the screen', d.transcriptBatchMs <= 250],
  ['a recording would be closed while its browser still uploads', d.videoGraceMs > d.videoRequestMs],
  ['a join token would expire before its unjoined session', d.joinTokenMs >= d.neverJoinedMs],
];

describe('deadlines', () => {
  test.each(orders)('not: %s', (_wouldBeTrue, holds) => {
    expect(holds).toBe(true);
  });

  test('the variable of a deadline is its name in capitals', () => {
    expect(deadlineVariable('reconnectGraceMs')).toBe('RECONNECT_GRACE_MS');
  });
});
