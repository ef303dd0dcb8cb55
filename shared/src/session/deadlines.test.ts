import { describe, expect, test } from 'vitest';
import { defaultDeadlines as d, deadlineVariable } from './deadlines.ts';

/** Each line: what would be true if the order were broken. */
const orders: Array<[string, boolean]> = [
  ['a worker would lose its lease between two heartbeats', d.heartbeatMs * 3 < d.leaseMs],
  ['an orchestrator would hold heartbeats longer than workers send them', d.heartbeatFlushMs < d.heartbeatMs],
  ['a live interview would die with a control plane that is away briefly', d.leaseLostMs > d.leaseMs * 10],
  ['a hedge would start before Fly had a chance', d.createMs > d.standbyStartMs],
  ['a start that fails would make a scheduled session late', d.scheduleLeadMs >= d.standbyStartMs * 3],
  ['standby machines would be planned for later than they are needed', d.standbyBuildMs > d.poolTickMs * 10],
  ['the proxy would try longer than the replay state is good for', d.replayTimeoutMs + d.edgeWaitMs < d.replayStateMs],
  ['Fly would kill a worker in the middle of its teardown', d.stopTimeoutMs > d.teardownMs],
  ['the provider would cut a call before we roll it over', d.callRolloverMs < 3_600_000],
  ['the default interview would need a second call', d.maxDurationMs < d.callRolloverMs],
  ['the warning would come before the interview began', d.durationWarningMs < d.maxDurationMs],
  ['a candidate would be given up while the edge still waits', d.reconnectGraceMs > d.edgeWaitMs],
  ['an intent would be retaken while its request is still running twice over', d.intentTakenMs < d.flyRequestMs],
  ['a duty would be lost between two renewals', d.dutyRenewMs * 3 < d.dutyLeaseMs],
  ['the death of an orchestrator would be felt', d.dutyLeaseMs + d.dutyRenewMs < 3_000],
  ['an intent of a dead orchestrator would wait', d.intentTakenMs + d.intentScanMs <= 3_000],
  ['a migrated machine would give up before its silent first boot is given up', d.claimMs > d.leaseMs],
  ['one bad moment would count as two', d.unreachableGapMs > d.heartbeatFlushMs],
  ['late transcripts would eat the teardown', d.lateTranscriptMs < d.teardownMs / 2],
  ['the browser would give up before a slow sideband is given up', d.sidebandReadyMs < d.providerRequestMs],
  ['a call would be given up while its sideband is still waited for', d.sidebandLostMs > d.sidebandReadyMs * 2],
  ['a session without media would last two minutes', d.noMediaMs + d.lateTranscriptMs < 120_000],
  ['a slow connection would be taken for no media', d.noMediaMs > d.callConnectMs * 6],
  ['the transcript would be late on the screen', d.transcriptBatchMs <= 250],
  ['a recording would be cut while its browser still finishes', d.videoGraceMs > d.videoRequestMs],
  ['a join token would die before its session can expire unjoined', d.joinTokenMs >= d.neverJoinedMs],
];

describe('deadlines', () => {
  test.each(orders)('not: %s', (_wouldBeTrue, holds) => {
    expect(holds).toBe(true);
  });

  test('the variable of a deadline is its name in capitals', () => {
    expect(deadlineVariable('reconnectGraceMs')).toBe('RECONNECT_GRACE_MS');
  });
});
