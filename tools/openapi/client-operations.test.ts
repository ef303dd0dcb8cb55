import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { clientOperations } from './client-operations.ts';

test('the methods of the server client are those of the OpenAPI document; write them with: npm run openapi -- --write', async () => {
  const root = path.resolve(import.meta.dirname, '../..');
  const document = JSON.parse(await readFile(path.join(root, 'docs/openapi.json'), 'utf8'));
  const methods = await readFile(path.join(root, 'server-client/src/operations.ts'), 'utf8');
  expect(methods).toBe(clientOperations(document));
});
