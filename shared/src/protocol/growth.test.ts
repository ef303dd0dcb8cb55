import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { firstSteepDoubling } from '../runtime/growth.ts';
import * as people from './people.ts';
import * as platform from './platform-api.ts';
import * as results from './results.ts';
import * as socket from './socket.ts';
import * as tenants from './tenants.ts';
import * as transcript from './transcript.ts';
import * as webhooks from './webhooks.ts';
import * as worker from './worker-api.ts';

/**
 * Validating a request takes time that grows no faster than its length. Every text field of every message and body is
 * filled with texts that are hard for patterns, and doubled up to the largest body, also beyond a field's own limit,
 * because a check that runs although the length was refused once made this cubic.
 */
const bodyLimit = 262_144;
const fills: Readonly<Record<string, (length: number) => string>> = {
  blanks: (n) => ' '.repeat(n),
  'an open placeholder of blanks': (n) => `{{${' '.repeat(n)}`,
  braces: (n) => '{'.repeat(n),
  'placeholders of blanks': (n) => '{{ '.repeat(n / 3),
  'line breaks between blanks': (n) => ' \n'.repeat(n / 2),
  letters: (n) => 'a'.repeat(n),
  'letters and dots': (n) => 'a.'.repeat(n / 2),
  'letters and dashes': (n) => 'aa-'.repeat(n / 3),
  'a long domain': (n) => `a@${'a.'.repeat(n / 2)}`,
  'a URL of slashes': (n) => `https://a/${'/'.repeat(n)}`,
  digits: (n) => `2026-01-01T00:00:00.${'0'.repeat(n)}`,
  'halves of characters': (n) => '\ud800'.repeat(n),
};

type JsonSchema = z.core.JSONSchema.BaseSchema;
type Path = Array<string | number>;
interface Field {
  path: Path;
  /** A body with a value in every other field. */
  sample: unknown;
}

const first = (schema: JsonSchema): JsonSchema => {
  const choice = schema.anyOf?.[0] ?? schema.oneOf?.[0];
  return typeof choice === 'object' ? first(choice) : schema;
};

/** A value of the right type; patterns do not matter here. */
function sampleOf(schema: JsonSchema): unknown {
  const { type, properties, items, const: fixed, enum: choices } = first(schema);
  if (fixed !== undefined) return fixed;
  if (choices) return choices[0];
  if (type === 'array') return [sampleOf(items as JsonSchema)];
  if (type === 'number' || type === 'integer') return 1;
  if (type === 'boolean') return true;
  if (type === 'object')
    return properties === undefined
      ? { key: 'value' }
      : Object.fromEntries(Object.entries(properties).map(([name, of]) => [name, sampleOf(of as JsonSchema)]));
  return 'text';
}

function* textPaths(value: unknown, path: Path = []): Generator<Path> {
  if (typeof value === 'string') yield path;
  else if (Array.isArray(value)) for (const [n, inner] of value.entries()) yield* textPaths(inner, [...path, n]);
  else if (typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(value)) yield* textPaths(inner, [...path, name]);
}

const filled = (value: unknown, [step, ...rest]: Path, text: string): unknown => {
  if (step === undefined) return text;
  if (Array.isArray(value)) return value.map((inner, n) => (n === step ? filled(inner, rest, text) : inner));
  const holder = value as Record<string, unknown>;
  return { ...holder, [step]: filled(holder[step], rest, text) };
};

/** Each alternative of a union is a separate message. */
const alternatives = (schema: JsonSchema): JsonSchema[] =>
  ((schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined)?.flatMap(alternatives) ?? [schema];

const fieldsOf = (schema: z.ZodType): Field[] =>
  alternatives(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })).flatMap((one) => {
    const sample = sampleOf(one);
    return [...textPaths(sample)].map((path) => ({ path, sample }));
  });

/** The fields whose time grew faster than their length, as sentences. */
function steps(judge: (text: string) => unknown, fill: (length: number) => string, limit: number): string[] {
  const prepare = (length: number) => {
    const text = fill(length);
    return () => judge(text);
  };
  return [firstSteepDoubling(prepare, { to: limit })].filter((step) => step !== undefined);
}

const requests: Readonly<Record<string, z.ZodType>> = {
  createSession: platform.createSessionRequest,
  changeSession: platform.changeSessionRequest,
  createCandidate: people.createCandidateRequest,
  changeCandidate: people.changeCandidateRequest,
  createPosition: platform.positionInput,
  changePosition: people.changePositionRequest,
  createTenant: tenants.createTenantRequest,
  changeTenant: tenants.changeTenantRequest,
  createApiKey: tenants.createApiKeyRequest,
  providerCredential: tenants.providerCredentialRequest,
  createWebhook: webhooks.createWebhookRequest,
  changeWebhook: webhooks.changeWebhookRequest,
  review: results.reviewRequest,
  entry: transcript.transcriptEntryInput,
  clientMessage: socket.clientMessage,
  claim: worker.claimRequest,
  heartbeat: worker.heartbeatRequest,
  updateCall: worker.updateCallRequest,
  finish: worker.finishRequest,
};

describe('validating a text takes time in proportion to its length', () => {
  test('control: the measurement detects a pattern with cubic time', { timeout: 60_000 }, () => {
    const cubic = /\{\{\s*([^{}]*?)\s*\}\}/g;
    const fill = (length: number) => `{{${' '.repeat(length)}`;
    expect(steps((text) => text.replaceAll(cubic, ''), fill, 2_048)).toHaveLength(1);
  });

  test('the fields of a union are all found', () => {
    const paths = fieldsOf(socket.clientMessage).map(({ path }) => path.join('.'));
    expect(paths).toEqual(
      expect.arrayContaining(['sdp', 'session_id', 'entries.0.text', 'final_transcript.0.item_id']),
    );
  });

  test.each(Object.entries(requests))('%s', { timeout: 60_000 }, (_name, schema) => {
    const found = fieldsOf(schema).flatMap(({ path, sample }) =>
      Object.entries(fills).flatMap(([fillName, fill]) =>
        steps((text) => schema.safeParse(filled(sample, path, text)), fill, bodyLimit).map(
          (step) => `${path.join('.')} of ${fillName}: ${step}`,
        ),
      ),
    );
    expect(found).toEqual([]);
  });
});
