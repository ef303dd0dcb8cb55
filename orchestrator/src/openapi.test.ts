import { readFileSync } from 'node:fs';
import path from 'node:path';
import { errorCodes } from '@greenroom/shared/errors/codes.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { tenantEventTypes } from '@greenroom/shared/session/events.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import { operations, tags } from './api/operations.ts';
import { buildApp } from './app.ts';
import { readConfig } from './config.ts';
import { createDeps } from './deps.ts';
import { makeEnvironment } from './testing.ts';

interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: Array<Record<string, string[]>>;
  requestBody?: object;
  parameters?: Array<{ name: string }>;
  responses: Record<string, { description?: string; content?: Record<string, { schema?: object }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, { post: { summary: string; requestBody: object } }>;
  components: { schemas: Record<string, object> };
}

/** The document as it is served. */
let document: Document;
beforeAll(async () => {
  const deps = await createDeps(readConfig(await makeEnvironment()), { logger: silentLogger() });
  const app = await buildApp(deps);
  document = (await app.inject('/docs/json')).json();
  await app.close();
  await deps.closeConnections();
});
const all = (): Array<[string, Operation]> =>
  Object.entries(document.paths).flatMap(([at, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${at}`,
      operation,
    ]),
  );
const find = (name: string): Operation => Object.fromEntries(all())[name] as Operation;

describe('the OpenAPI document', () => {
  test('docs/openapi.json is the document as served; write it with: npx vitest run openapi.test.ts -u', async () => {
    await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot(path.resolve('docs/openapi.json'));
  });

  test('every operation has a unique id, a summary, a known tag and a described response', () => {
    const ids = all().map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(
      Object.values(operations)
        .map(({ id }) => id)
        .toSorted(),
    );
    const known: string[] = tags.map(({ name }) => name);
    for (const [name, { summary, tags: [tag = ''] = [], responses }] of all()) {
      expect([name, summary, known.includes(tag)]).toEqual([name, expect.stringMatching(/\w/), true]);
      for (const { description } of Object.values(responses)) expect(description, name).not.toBe('Default Response');
    }
  });

  test('only the platform API is published: no route of workers, operators’ pages or webhooks received', () => {
    expect(Object.keys(document.paths).filter((at) => !at.startsWith('/api/'))).toEqual([]);
  });

  test('security follows from who may call: join routes are open, operator routes take an operator’s token', () => {
    expect(find('POST /api/join').security).toEqual([]);
    expect(find('POST /api/tenants').security).toEqual([{ operatorToken: [] }]);
    expect(find('POST /api/sessions').security).toEqual([{ apiKey: [] }, { userToken: [] }]);
    for (const [name, { security }] of all()) expect([name, Array.isArray(security)]).toEqual([name, true]);
  });

  test('every error response is a problem document that lists its registered codes, with their status', () => {
    for (const [name, { responses }] of all())
      for (const [status, response] of Object.entries(responses).filter(([code]) => Number(code) >= 400)) {
        const codes = JSON.stringify(response.content?.['application/problem+json']?.schema).match(
          /"enum":(\[[^\]]*\])/,
        );
        for (const code of JSON.parse(codes?.[1] ?? '["none"]') as Array<keyof typeof errorCodes>)
          expect([name, errorCodes[code]?.status]).toEqual([name, +status]);
      }
    expect(JSON.stringify(find('POST /api/sessions').responses['429'])).toContain('tenant_quota_exceeded');
    expect(Object.keys(find('POST /api/sessions').responses)).toEqual(
      expect.arrayContaining(['201', '400', '401', '403', '409', '413', '415', '422', '429', '500', '503']),
    );
  });

  test('every POST of a caller documents Idempotency-Key, and an open route does not', () => {
    const documented = (name: string) => find(name).parameters?.some((p) => p.name === 'idempotency-key') ?? false;
    for (const [name, { security }] of all().filter(([given]) => given.startsWith('POST ')))
      expect([name, documented(name)]).toEqual([name, security?.length !== 0]);
  });

  test('every operation has an example; add its step to test/support/api-examples.ts', () => {
    const examples: object = JSON.parse(readFileSync('orchestrator/src/api/examples.json', 'utf8'));
    expect(Object.keys(examples).toSorted()).toEqual(
      all()
        .map(([, { operationId }]) => operationId)
        .toSorted(),
    );
  });

  test('the webhooks are those of docs/events.md, each with the schema of its body', () => {
    expect(Object.keys(document.webhooks)).toEqual([...tenantEventTypes, 'webhook.test']);
    for (const [type, { post }] of Object.entries(document.webhooks))
      expect([type, JSON.stringify(post.requestBody)]).toEqual([
        type,
        expect.stringMatching(new RegExp(`"const":"${type.replace('.', '\\.')}".*"timestamp".*"data"`)),
      ]);
    expect(JSON.stringify(document.webhooks['session.completed'])).toContain('interviewer_finished');
  });

  test('no schema is empty: a client generated from it has no unknown, except where a platform may put anything', () => {
    const empty: string[] = [];
    const walk = (value: unknown, at: string): void => {
      if (typeof value !== 'object' || value === null) return;
      if (Object.keys(value).length === 0) empty.push(at);
      for (const [name, inner] of Object.entries(value)) if (name !== 'example') walk(inner, `${at}/${name}`);
    };
    walk(
      Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ security: _, ...o }) => o)),
      '',
    );
    walk(document.components.schemas, '');
    expect(empty.toSorted()).toEqual([
      '/AuditEntry/properties/details/additionalProperties',
      '/DeliveryDetails/properties/payload/additionalProperties',
      '/Session/properties/settings/additionalProperties',
    ]);
  });

  test('answers may get new fields, and request bodies may not have unknown ones', () => {
    expect(document.components.schemas.Candidate).not.toHaveProperty('additionalProperties');
    expect(JSON.stringify(find('POST /api/candidates').requestBody)).toContain('"additionalProperties":false');
  });
});
