import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from './errors/codes.ts';
import { fieldErrors } from './errors/zod-fields.ts';
import { webhookMessage } from './protocol/events.ts';
import { createWebhookRequest } from './protocol/webhooks.ts';
import { eventAudiences, isTenantEvent, tenantEventTexts, tenantEventTypes } from './session/events.ts';
import { machineReasons, sessionReasons } from './session/reasons.ts';
import { sessionStatuses } from './session/states.ts';

/** A document without the padding in its tables. */
const read = (name: string) =>
  readFileSync(path.resolve(import.meta.dirname, '../../docs', name), 'utf8').replaceAll(/ +\|/g, ' |');

/** First columns of the rows of a table whose first cell is code, with the whole row. */
const rows = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^\| `([\w]+)` \|.*$/gm)].map((match) => [match[1] as string, match[0]]));

describe('docs agree with the code', () => {
  test('docs/errors.md lists every code with its status and retryability, and no other', () => {
    const documented = rows(read('errors.md'));
    expect([...documented.keys()].sort()).toEqual(Object.keys(errorCodes).sort());
    for (const [code, { status, retryable }] of Object.entries(errorCodes)) {
      expect(documented.get(code)).toContain(`| ${status} | ${retryable ? 'yes' : 'no'} |`);
    }
  });

  test('docs/lifecycle.md lists every reason with its outcome and text', () => {
    const lifecycle = read('lifecycle.md');
    for (const [reason, { outcome, text }] of Object.entries(sessionReasons)) {
      expect(lifecycle).toContain(`| \`${reason}\` | ${outcome} | ${text} |`);
    }
    for (const [reason, text] of Object.entries(machineReasons))
      expect(lifecycle).toContain(`| \`${reason}\` | ${text} |`);
  });

  test('docs/events.md lists every event type with its audience and its text, and no other', () => {
    const documented = [...read('events.md').matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| (\w+) \| (.+) \|$/gm)];
    expect(Object.fromEntries(documented.map(([, type, audience]) => [type, audience]))).toEqual(eventAudiences);
    const texts = documented.filter(([, , audience]) => audience === 'tenant').map(([, type, , text]) => [type, text]);
    expect(Object.fromEntries(texts)).toEqual(tenantEventTexts);
  });

  test('docs/events.md shows a webhook of every type that tenants receive, of the schema of its type', () => {
    const shown = [...read('events.md').matchAll(/^### `([\w.]+)`\n[^#]*?```json\n([^`]*)```/gm)];
    expect(shown.map(([, type]) => type).sort()).toEqual([...tenantEventTypes, 'webhook.test'].sort());
    for (const [, type, example] of shown) {
      const body = webhookMessage.parse(JSON.parse(example as string));
      expect(body.type).toBe(type);
    }
  });

  test('a webhook for an unknown type, or for one that tenants do not receive, is refused with the name of the field', () => {
    const url = 'https://hooks.example.com/';
    expect(createWebhookRequest.parse({ url, events: [...tenantEventTypes] }).events).toEqual(tenantEventTypes);
    for (const type of ['session.ended', 'machine.created', 'webhook.test', 'session.ready ', '__proto__']) {
      const refused = createWebhookRequest.safeParse({ url, events: ['session.ready', type] });
      expect(refused.error && fieldErrors(refused.error, 'body')).toEqual([
        {
          field: 'events.1',
          message: `is not an event type; docs/events.md lists them, for example session.completed`,
        },
      ]);
      expect(isTenantEvent(type)).toBe(false);
    }
  });

  test('docs/lifecycle.md names no reason that the code does not have', () => {
    const known = new Set<string>([...Object.keys(sessionReasons), ...Object.keys(machineReasons), ...sessionStatuses]);
    for (const name of rows(read('lifecycle.md')).keys()) expect(known).toContain(name);
  });

  test('docs/limits.md names each bound as the code does', () => {
    const named = [...read('limits.md').matchAll(/^\|.* `(\w+)`, `([\w/.-]+)` \|$/gm)];
    expect(named.length).toBeGreaterThan(25);
    for (const [, name, file] of named) {
      const source = readFileSync(path.resolve(import.meta.dirname, '../..', file as string), 'utf8');
      expect([file, source.includes(name as string)]).toEqual([file, true]);
    }
  });

  test.each([
    ['SECURITY.md', 'Every credential'],
    ['test/README.md', 'What a candidate may meet'],
  ])('%s names a test for each line under "%s", and each exists', (document, heading) => {
    const root = path.resolve(import.meta.dirname, '../..');
    const section = readFileSync(path.join(root, document), 'utf8').split(`## ${heading}`)[1]?.split('\n## ')[0] ?? '';
    const [, , ...lines] = section.match(/^\|.*$/gm) ?? [];
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) {
      const [, file, titles] = /\| `([^`]+)`: ([^|]*) \|$/.exec(line) ?? [line];
      const source = readFileSync(path.join(root, String(file)), 'utf8');
      for (const [, title] of String(titles).matchAll(/"([^"]+)"/g)) {
        const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``].some((literal) => source.includes(literal));
        expect([title, quoted]).toEqual([title, true]);
      }
    }
  });
});
