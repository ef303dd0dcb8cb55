import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { securitySchemes, transform, transformObject } from './openapi.ts';
import { tags } from './operations.ts';
import { webhookEvents } from './webhook-events.ts';

/**
 * The OpenAPI document at `/docs/json`, generated from the schemas that validate requests, and an HTML page of
 * it at `/docs`.
 */
export async function registerOpenApi(app: FastifyInstance, publicUrl: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Greenroom',
        version: '1',
        description:
          'AI interview sessions, each on its own machine. Errors are problem documents (RFC 9457) with a registered `code`.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: publicUrl }],
      tags: [...tags],
      components: { securitySchemes },
      webhooks: webhookEvents as never,
    },
    transform: transform as never,
    transformObject: transformObject as never,
  });
}

interface Operation {
  summary?: string;
  description?: string;
  parameters?: Array<{ name: string; in: string; required?: boolean; schema?: object }>;
  requestBody?: { content?: Record<string, { schema?: object }> };
  responses?: Record<string, object>;
}

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const details = (title: string, content: unknown): string =>
  `<details><summary>${escapeHtml(title)}</summary><pre>${escapeHtml(JSON.stringify(content, null, 2))}</pre></details>`;

const operationHtml = (method: string, path: string, operation: Operation): string => {
  const { summary = '', description, parameters = [], requestBody, responses = {} } = operation;
  return [
    `<section><h2><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h2><p>${escapeHtml(summary)}</p>`,
    description === undefined ? '' : `<p>${escapeHtml(description)}</p>`,
    parameters.length > 0 ? details('Parameters', parameters) : '',
    requestBody?.content ? details('Body', Object.values(requestBody.content)[0]?.schema) : '',
    ...Object.entries(responses).map(([status, response]) => details(`Response ${status}`, response)),
    '</section>',
  ].join('\n');
};

const style =
  'body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{background:#f4f4f5;padding:1rem;overflow:auto}h2{font-size:1.1rem;margin-top:2rem}';

type Operations = Record<string, Record<string, Operation>>;

const sectionsOf = (operations: Operations): string =>
  Object.entries(operations)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => operationHtml(method, path, operation)),
    )
    .join('\n');

/** The whole API reference as one HTML page without scripts. */
export function referencePage(paths: Operations, webhooks: Operations = {}): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Greenroom API</title><style>${style}</style></head>
<body><h1>Greenroom API</h1><p>Generated from the <a href="/docs/json">OpenAPI document</a>.</p>${sectionsOf(paths)}
<h1>Webhooks</h1><p>What an endpoint of yours receives, by type of event.</p>${sectionsOf(webhooks)}</body></html>`;
}

/** Both texts are made once, before the process listens: anybody may ask for them, and making them takes tens of milliseconds. */
export async function docsRoutes(app: FastifyInstance): Promise<void> {
  let texts = { document: '', page: '' };
  app.addHook('onReady', async () => {
    const made = app.swagger();
    const { paths = {}, webhooks = {} } = made as { paths?: Operations; webhooks?: Operations };
    texts = { document: JSON.stringify(made), page: referencePage(paths, webhooks) };
  });
  app.get('/docs/json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(texts.document),
  );
  app.get('/docs', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
      .type('text/html; charset=utf-8')
      .send(texts.page),
  );
}
