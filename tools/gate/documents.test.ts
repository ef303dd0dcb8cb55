import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { brokenReferences, documentsOf } from './documents.ts';

const root = path.resolve(import.meta.dirname, '../..');

describe('references in documents', () => {
  test('every link and every path in backticks of every document leads to something that exists', () => {
    const documents = documentsOf(root);
    expect(documents.length).toBeGreaterThan(20);
    const broken = documents.flatMap((name) =>
      brokenReferences(root, name, readFileSync(path.join(root, name), 'utf8')),
    );
    expect(broken).toEqual([]);
  });

  test('control: a link to no file, to no heading and a path to no file are found; examples in code blocks are not read', () => {
    const text = [
      '# Plane `x` and (y)',
      '[here](#plane-x-and-y) [gone](#gone) [file](../README.md) [none](none.md) [web](https://example.com/none.md)',
      '`orchestrator/src/main.ts` `orchestrator/src/none.ts` `docs/adr/` `docs/none/` `application/json` `any/where.ts`',
      '```',
      '[none](none.md) `docs/none.md`',
      '```',
    ].join('\n');
    expect(brokenReferences(root, 'docs/example.md', text).map(({ reference }) => reference)).toEqual([
      '#gone',
      'none.md',
      'orchestrator/src/none.ts',
      'docs/none/',
    ]);
  });
});
