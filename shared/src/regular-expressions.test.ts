import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'acorn';
import { transformSync } from 'esbuild';
import { checkSync } from 'recheck';
import { describe, expect, test } from 'vitest';
import { regexes } from 'zod';
import { namePatterns } from './protocol/names.ts';

/**
 * Every regular expression of the product takes linear time. An expression without this property
 * once let a single request stop an orchestrator. The test prints the list with the growth of each, as recheck computes it.
 */
const root = path.resolve(import.meta.dirname, '../..');
const sources = '{shared,orchestrator,session-worker,client,server-client,supabase/functions}/**/*.{ts,tsx}';
const isProduct = (file: string): boolean => !/node_modules|\.test\.|\/tests?\/|\/dist\/|testing\.ts$/.test(file);

interface Complexity {
  type: 'safe' | 'linear' | 'polynomial' | 'exponential';
  degree?: number;
}

interface Found {
  source: string;
  flags: string;
  files: string[];
}

const isNode = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** All literals. Expressions that are built at run time cannot be checked here. */
function* literals(node: unknown): Generator<{ source: string; flags: string }> {
  if (!isNode(node)) return;
  if (node.type === 'Literal' && isNode(node.regex))
    yield { source: String(node.regex.pattern), flags: String(node.regex.flags) };
  for (const child of Object.values(node)) yield* literals(child);
}

function allExpressions(): Map<string, Found> {
  const found = new Map<string, Found>();
  const note = (source: string, flags: string, file: string) => {
    const key = `/${source}/${flags}`;
    const known = found.get(key) ?? { source, flags, files: [] };
    if (!known.files.includes(file)) known.files.push(file);
    found.set(key, known);
  };
  for (const file of globSync(sources, { cwd: root }).filter(isProduct).sort()) {
    const loader = file.endsWith('x') ? 'tsx' : 'ts';
    const { code } = transformSync(readFileSync(path.join(root, file), 'utf8'), { loader, target: 'esnext' });
    const tree = parse(code, { ecmaVersion: 'latest', sourceType: 'module' });
    for (const { source, flags } of literals(tree)) note(source, flags, path.basename(file));
  }
  // zod's expressions for the formats in our schemas.
  for (const { source, flags } of [regexes.guid, regexes.datetime({ offset: true })]) note(source, flags, 'zod');
  for (const { source, flags } of namePatterns) note(source, flags, 'names.ts');
  return found;
}

const growthOf = ({ source, flags }: { source: string; flags: string }): string => {
  const { complexity } = checkSync(source, flags, { timeout: 20_000 }) as { complexity?: Complexity };
  if (complexity === undefined) return 'unknown';
  if (complexity.type === 'polynomial') return `polynomial, degree ${complexity.degree}`;
  return complexity.type === 'safe' ? 'linear' : complexity.type;
};

describe('regular expressions', () => {
  test('control: the expression that once stopped an orchestrator is found to be cubic', () => {
    const tree = parse('const p = /\\{\\{\\s*([^{}]*?)\\s*\\}\\}/g;', { ecmaVersion: 'latest' });
    expect([...literals(tree)].map(growthOf)).toEqual(['polynomial, degree 3']);
  });

  test('every one in the product takes linear time', { timeout: 180_000 }, () => {
    const found = allExpressions();
    expect(found.size).toBeGreaterThan(50);
    // Control: an expression that exists only in the Edge Functions is found.
    expect([...found.values()].flatMap(({ files }) => files)).toContain('upload.ts');
    const growth = new Map([...found].map(([key, expression]) => [key, growthOf(expression)]));
    const wrong = [...growth].filter(([, grows]) => grows !== 'linear');
    expect(wrong).toEqual([]);
    const lines = [...found].map(([key, { files }]) => `${growth.get(key)}  ${key}  ${files.join(', ')}`);
    process.stdout.write(`${lines.sort().join('\n')}\n`);
  });

  test('only those for routes and names are built at run time; the latter are checked above', () => {
    const made = globSync(sources, { cwd: root })
      .filter(isProduct)
      .filter((file) => /new RegExp\(|[^.\w]RegExp\(/.test(readFileSync(path.join(root, file), 'utf8')));
    expect(made.map((file) => path.basename(file)).sort()).toEqual(['names.ts', 'unknown-routes.ts']);
  });
});
