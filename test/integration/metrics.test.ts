import { spawnSync } from 'node:child_process';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { endOf, platformOf, startInterview, until } from '../support/session.ts';

/** `/metrics` of two real orchestrators while an interview runs on the local cloud. */
describe('metrics', () => {
  let stack: Stack;
  const urls: string[] = [];
  const scrape = async (): Promise<string[]> =>
    Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()));
  /** Sum of a metric over all orchestrators and all series whose labels contain `labels`. */
  const sumOf = async (name: string, labels = ''): Promise<number> =>
    (await scrape())
      .flatMap((text) => text.split('\n'))
      .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);

  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 500, paceMs: 80 }, flyLimits: false, orchestrators: 0 });
    for (const _ of [1, 2]) {
      const port = await freePort();
      await stack.addOrchestrator({ OPS_PORT: String(port) });
      urls.push(`http://127.0.0.1:${port}`);
    }
  });
  afterAll(() => stack.stop());

  test('one orchestrator of two exports the gauges of the fleet', async () => {
    const exporters = async () =>
      (await scrape()).filter((text) => /^greenroom_fleet_read_timestamp_seconds \d/m.test(text)).length;
    await expect.poll(exporters).toBe(1);
    expect(await sumOf('greenroom_duty_held', 'housekeeping')).toBe(1);
    await expect.poll(() => sumOf('greenroom_orchestrators')).toBe(2);
  });

  test('an interview is counted once while it runs, and its series is gone afterwards', async () => {
    // The interviewer has far more to say than the test takes, so the interview ends only when the platform ends it.
    const interview = await startInterview(stack);
    const series = `tenant="${stack.tenant.slug}"`;
    await expect.poll(() => sumOf('greenroom_sessions', series)).toBe(1);
    await until('the candidate and the interviewer spoke', () => interview.said() >= 2);
    await platformOf(stack).deleteSession(interview.session.session_id);
    expect(await interview.ended).toEqual({ outcome: 'cancelled', reason: 'ended_by_platform' });
    await endOf(stack, interview.session.session_id);
    await expect.poll(() => sumOf('greenroom_sessions', series)).toBe(0);
    expect((await scrape()).join('')).not.toMatch(new RegExp(`greenroom_sessions\\{${series}`));
    expect(await sumOf('greenroom_session_requests_total', 'created')).toBe(1);
    expect(await sumOf('greenroom_claims_total', 'claimed')).toBe(1);
    expect(await sumOf('greenroom_fly_requests_total', 'action="create"')).toBe(1);
    expect(await sumOf('greenroom_candidate_sockets_total', 'replay')).toBeGreaterThanOrEqual(1);
    expect(await sumOf('greenroom_provider_requests_total', 'minted')).toBeGreaterThanOrEqual(1);
    expect(await sumOf('greenroom_reconcile_rounds_total', 'done')).toBeGreaterThan(0);
    expect(await sumOf('greenroom_database_requests_total', '2xx')).toBeGreaterThan(0);
    // The next reading of the database brings what the interview left there.
    await expect.poll(() => sumOf('greenroom_sessions_ended_total', 'ended_by_platform')).toBe(1);
    await expect.poll(() => sumOf('greenroom_tenant_cost_usd_total', series)).toBeGreaterThan(0);
    expect(await sumOf('greenroom_session_ready_seconds_count', 'path="cold",region="fra"')).toBe(1);
    expect(await sumOf('greenroom_start_phase_seconds_count', 'phase="boot"')).toBe(1);
    expect(await sumOf('greenroom_worker_total', 'sockets')).toBe(1);
    expect(await sumOf('greenroom_worker_total', 'entries_acknowledged')).toBeGreaterThanOrEqual(2);
    expect(await sumOf('greenroom_transcript_entries_lost_total')).toBe(0);
    expect(await sumOf('greenroom_transcript_entries_total', 'speaker="ai"')).toBeGreaterThanOrEqual(1);
    expect(await sumOf('greenroom_candidate_socket_closes_total', 'code="1000"')).toBe(1);
    expect(await sumOf('greenroom_candidate_socket_seconds_total')).toBeGreaterThan(0);
    expect(await sumOf('greenroom_fly_creates_per_second')).toBe(1_000);
  });

  test('the totals are the same after a takeover', async () => {
    const ended = await sumOf('greenroom_sessions_ended_total');
    const ready = await sumOf('greenroom_session_ready_seconds_count');
    const holder = (await scrape()).findIndex((text) => /^greenroom_fleet_read_timestamp_seconds \d/m.test(text));
    await stack.orchestrators.splice(holder, 1)[0]?.kill();
    urls.splice(holder, 1);
    await expect.poll(() => sumOf('greenroom_sessions_ended_total')).toBe(ended);
    expect(await sumOf('greenroom_session_ready_seconds_count')).toBe(ready);
  });

  test('the public address serves no metrics', async () => {
    expect((await fetch(`${stack.publicUrl}/metrics`)).status).toBe(404);
  });

  test.skipIf(spawnSync('promtool', ['--version']).status !== 0)(
    'promtool has no complaint about a real scrape (skipped where promtool is not installed)',
    async () => {
      for (const input of await scrape()) {
        const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
        expect({ status, complaints: `${stdout}${stderr}` }).toEqual({ status: 0, complaints: '' });
      }
    },
  );
});
