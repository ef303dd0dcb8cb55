import { startVoiceProvider, type VoiceProvider } from '@greenroom/local-cloud/voice/provider.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { type AzureFront, startAzure } from '../support/azure.ts';
import { callsFrom, expectFinished } from '../support/conversation.ts';
import { endOf, machinesOf, platformOf, startInterview, until } from '../support/session.ts';

/** The other voice provider adapters: one interview each, through the whole stack. */
describe('provider adapters', () => {
  const key = 'sk-of-the-resource-0123456789';
  const europeanKey = 'sk-of-a-project-in-europe';
  let stack: Stack;
  let europe: VoiceProvider;
  let azure: AzureFront;
  beforeAll(async () => {
    azure = await startAzure(() => stack.cloud.voice.url, key);
    europe = await startVoiceProvider({ turns: 2, paceMs: 80, apiKeys: [europeanKey] });
    const elsewhere = { [europeanKey]: 'eu.api.openai.com' };
    stack = await startStack({
      voice: { turns: 2, paceMs: 80, apiKeys: [key], elsewhere },
      flyLimits: false,
      orchestrators: 0,
    });
  });
  afterAll(async () => {
    await stack.stop();
    await Promise.all([azure.stop(), europe.stop()]);
  });
  const interviewWith = async (environment: Record<string, string>) => {
    await stack.addOrchestrator(environment);
    const from = stack.cloud.voice.calls().length;
    await expectFinished(stack, await startInterview(stack), from);
    await stack.orchestrators.splice(0, 1)[0]?.stop();
    return callsFrom(stack, from);
  };

  const credential = (method: 'PUT' | 'DELETE', body?: object) =>
    fetch(`${stack.publicUrl}/api/tenants/${stack.tenant.id}/provider-credentials/openai`, {
      method,
      headers: {
        authorization: `Bearer ${stack.operatorToken}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });

  test('the Azure adapter mints with its own header, calls with an ephemeral credential and asks for the filter', async () => {
    await stack.addOrchestrator({ VOICE_PROVIDER: 'azure', OPENAI_BASE_URL: azure.url });
    // A tenant's OpenAI key must not be sent to Azure.
    expect((await credential('PUT', { api_key: 'sk-of-a-tenant-at-openai' })).status).toBe(204);
    const from = stack.cloud.voice.calls().length;
    await expectFinished(stack, await startInterview(stack), from);
    expect((await credential('DELETE')).status).toBe(204);
    await stack.orchestrators.splice(0, 1)[0]?.stop();
    expect(azure.refused).toEqual([]);
    // Control: Azure refuses the plain OpenAI protocol.
    const plain = await fetch(`${azure.url}/realtime/client_secrets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
    });
    expect(plain.status).toBe(401);
  });

  test('the unified adapter sends offer and session in one request with the standing key, where that is accepted', async () => {
    const [call] = await interviewWith({ REALTIME_CALLS: 'unified', ACCEPT_STANDING_KEY_IN_WORKERS: 'true' });
    expect(call?.session.instructions).toContain('Ada Lovelace');
    expect(stack.logLines.join('\n')).not.toContain(key);
  });

  test("a tenant's own key is used for its calls and results even when the deployment's key is invalid", async () => {
    await stack.addOrchestrator({ OPENAI_API_KEY: 'sk-of-nobody-0123456789' });
    const set = await credential('PUT', { api_key: key });
    expect(set.status, await set.text()).toBeLessThan(300);
    const from = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack);
    await expectFinished(stack, interview, from);
    expect(await platformOf(stack).result(interview.session.session_id, 90_000)).toMatchObject({ status: 'done' });
    expect((await credential('DELETE')).status).toBe(204);
    await stack.orchestrators.splice(0, 1)[0]?.stop();
  });

  test("a key of a regional project is used at that region's base URL: its calls, its hang-up, its result", async () => {
    const baseUrl = `${europe.url}/v1`;
    await stack.addOrchestrator({ PROVIDER_BASE_URLS: baseUrl });
    const there = () => europe.calls().map(({ state, endedBy }) => ({ state, endedBy }));
    const here = stack.cloud.voice.calls().length;

    // Without its base URL the provider refuses the key, and the log says why.
    expect((await credential('PUT', { api_key: europeanKey })).status).toBe(204);
    const lost = await startInterview(stack);
    await until('the candidate is told', () => lost.problems.includes('provider_auth_failed'));
    expect(stack.logLines.join('\n')).toContain("needs that region's base URL");

    expect((await credential('PUT', { api_key: europeanKey, base_url: baseUrl })).status).toBe(204);
    const interview = await startInterview(stack);
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
    await endOf(stack, interview.session.session_id);
    expect(await platformOf(stack).result(interview.session.session_id, 90_000)).toMatchObject({ status: 'done' });
    expect(there()).toEqual([{ state: 'ended', endedBy: 'hangup' }]);

    // A call is hung up where it was made, although the tenant has no key any more and the worker is gone.
    const cut = await startInterview(stack);
    const { session } = cut;
    // The worker stores the call's id before it answers the browser: a call without a stored id has no media, and is left alone.
    await until('the interviewer speaks there', () => europe.calls().length === 2 && cut.said() > 0);
    const machine = machinesOf(stack, session.session_id).find(({ state }) => state === 'started');
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    expect((await credential('DELETE')).status).toBe(204);
    await platformOf(stack).deleteSession(session.session_id);
    await until('the hang-up', () => there()[1]?.state === 'ended');
    expect(there()[1]).toEqual({ state: 'ended', endedBy: 'hangup' });
    await until('its line in the log', () => stack.logLines.join('\n').includes("a dead worker's call"));
    expect(stack.cloud.voice.calls()).toHaveLength(here);
  });
});
