import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { endOf, startInterview } from '../support/session.ts';
import { selfSigned } from '../support/tls.ts';

/**
 * The public address as at Fly: the proxy ends TLS. Platform, candidate and workers speak https and wss to it, and orchestrators and
 * workers behind it get plain http with `x-forwarded-proto: https`.
 */
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-https-'));
const trusted = getCACertificates();
let stack: Stack;

beforeAll(async () => {
  const tls = selfSigned();
  const file = path.join(dir, 'ca.pem');
  writeFileSync(file, tls.cert);
  setDefaultCACertificates([...trusted, tls.cert.toString()]);
  const trust = { NODE_EXTRA_CA_CERTS: file };
  stack = await startStack({ publicTls: tls, environment: trust, workerEnvironment: trust, flyLimits: false });
});
afterAll(async () => {
  await stack?.stop();
  setDefaultCACertificates(trusted);
  rmSync(dir, { recursive: true, force: true });
});

test('an interview runs over https and wss', async () => {
  const interview = await startInterview(stack);
  expect(new URL(interview.session.websocket_url).protocol).toBe('wss:');
  expect((await interview.ended).outcome).toBe('completed');
  expect((await endOf(stack, interview.session.session_id)).status).toBe('completed');
});

test('the candidate’s page is served with the headers that keep a browser on https', async () => {
  const page = await fetch(`${stack.publicUrl}/room`);
  expect(page.headers.get('strict-transport-security')).toContain('max-age=');
});
