import { readFileSync } from 'node:fs';
import path from 'node:path';
import { deadlineVariable, defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { expect, test } from 'vitest';
import { cliVariables } from '../cli/deploy/settings.ts';
import { configVariables, readConfig } from './config.ts';
import { makeEnvironment } from './testing.ts';

test('an environment with only the required variables is read; defaults are filled in, trailing slashes removed', async () => {
  const config = readConfig(await makeEnvironment());
  expect(config.publicUrl).toBe('https://interviews.example.com');
  expect(config.workerApiUrl).toBe(config.publicUrl);
  expect(config.fly.oidcIssuer).toBe('https://oidc.fly.io/acme');
  expect(config.fly.guest).toEqual({ cpu_kind: 'shared', cpus: 1, memory_mb: 512 });
  expect(config.deadlines.heartbeatMs).toBe(5_000);
  expect(config.video).toBeNull();
  expect(Object.isFrozen(config)).toBe(true);
});

test('traces are exported only with an endpoint, to /v1/traces below it or to their own', async () => {
  const environment = await makeEnvironment();
  const tracing = (changes: Record<string, string>) => readConfig({ ...environment, ...changes }).tracing;
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example:4318/' };
  expect(tracing({})).toBeNull();
  expect(tracing({ OTEL_EXPORTER_OTLP_HEADERS: 'a=b' })).toBeNull();
  expect(tracing({ ...endpoint, OTEL_SDK_DISABLED: 'true' })).toBeNull();
  expect(tracing({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20k, x-team=a=b' })).toEqual({
    url: 'https://collector.example:4318/v1/traces',
    headers: { authorization: 'Bearer k', 'x-team': 'a=b' },
    ...{ serviceName: 'greenroom-orchestrator', sampler: 'parentbased_always_on', samplerArg: 1 },
  });
  expect(tracing({ ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/in' })?.url).toBe(
    'https://traces.example/in',
  );
});

test('every missing variable is named at once', () => {
  const read = () => readConfig({});
  for (const name of [
    'PUBLIC_URL',
    'DB_SIGNING_KEY',
    'JOIN_SIGNING_KEYS',
    'FLY_API_TOKEN',
    'WORKER_IMAGE',
    'OPENAI_API_KEY',
  ])
    expect(read).toThrow(`set ${name}`);
  expect(read).toThrow(/set PUBLIC_URL: must be an http or https URL\n {2}set DEPLOYMENT_ID\n/);
});

const wrong: Array<[string, string, string]> = [
  ['PUBLIC_URL', 'ftp://x', 'must be an http or https URL'],
  ['PORT', '70000', 'PORT is wrong'],
  ['WORKER_IMAGE', 'registry.fly.io/worker:latest', 'pinned by digest'],
  ['CREDENTIALS_KEY', 'c2hvcnQ=', '32 bytes'],
  ['DB_SIGNING_KEY', '{"kty":"RSA","d":"very-secret"}', 'a private EC P-256 JWK'],
  ['JOIN_SIGNING_KEYS', 'not json, very-secret', 'JWK set'],
  ['REALTIME_CALLS', 'unified', 'set ACCEPT_STANDING_KEY_IN_WORKERS: must be true'],
  ['VOICE_PROVIDER', 'azure', 'openai.azure.com/openai/v1'],
  ['DEFAULT_REGION', 'xyz', 'region of Fly'],
  ['MACHINE_MEMORY_MB', '300', 'multiple of 256'],
  ['VOICE_SIMULATED', 'maybe', 'VOICE_SIMULATED is wrong'],
  ['HEARTBEAT_MS', '0', 'HEARTBEAT_MS is wrong'],
  ['SUPABASE_PUBLISHABLE_KEY', 'sb_secret_very-secret', 'holds a key of Supabase (secret)'],
  ['FLY_API_TOKEN', 'sk-very-secret', 'holds a key of OpenAI'],
  ['OPENAI_API_KEY', 'fo1_very-secret', 'holds a key of Fly'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'very-secret', 'must be name=value'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'key=very-secret%0d%0ax: y', 'must be name=value'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'key=very-secret%', 'must be name=value'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317', 'must be an http or https URL'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'OTEL_EXPORTER_OTLP_PROTOCOL is wrong'],
  ['OTEL_TRACES_SAMPLER', 'sometimes', 'OTEL_TRACES_SAMPLER is wrong'],
  ['OTEL_TRACES_SAMPLER_ARG', '2', 'OTEL_TRACES_SAMPLER_ARG is wrong'],
];

test('the key for database tokens may not be a join key too, because its holder can mint any role', async () => {
  const environment = await makeEnvironment();
  const keys = `{"keys":[${environment.DB_SIGNING_KEY}]}`;
  expect(() => readConfig({ ...environment, JOIN_SIGNING_KEYS: keys })).toThrow('JOIN_SIGNING_KEYS');
});

test.each(wrong)(
  '%s=%s is refused with an error that names the variable and hides secrets',
  async (name, value, message) => {
    const environment = { ...(await makeEnvironment()), [name]: value };
    expect(() => readConfig(environment)).toThrow(message);
    expect(() => readConfig(environment)).not.toThrow('very-secret');
  },
);

test('.env.example lists exactly the variables that the code reads', () => {
  const file = readFileSync(path.resolve(import.meta.dirname, '../../.env.example'), 'utf8');
  const documented = [...file.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1] as string);
  const deadlines = Object.keys(defaultDeadlines).map(deadlineVariable);
  const ofWorker = ['ORCHESTRATOR_URL', 'FLY_API_SOCKET', 'TRACEPARENT'];
  expect(documented.toSorted()).toEqual([...configVariables, ...deadlines, ...ofWorker, ...cliVariables].toSorted());
});

test('.env.example shows the default of every deadline', () => {
  const file = readFileSync(path.resolve(import.meta.dirname, '../../.env.example'), 'utf8');
  for (const [name, value] of Object.entries(defaultDeadlines))
    expect(file).toContain(`\n# ${deadlineVariable(name)}=${value}\n`);
});

test('.env.example says of every setting who needs it, where it comes from and how it is rotated', () => {
  const lines = readFileSync(path.resolve(import.meta.dirname, '../../.env.example'), 'utf8').split('\n');
  const without = [...configVariables, ...cliVariables].filter((name) => {
    const at = lines.findIndex((line) => new RegExp(`^(?:# )?${name}=`).test(line));
    return !/^# Who: .+\. From: .+\. Rotation: .+\.$/.test(lines[at - 1] ?? '');
  });
  expect(without).toEqual([]);
});
