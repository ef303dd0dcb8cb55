import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Written by a command and not kept in the repository. */
const generated = new Set(['docs/full-run.md']);
/** The head of a path in backticks that is meant as a path of this repository. */
const repositoryPath = /^(?:docs|orchestrator|session-worker|client|shared|supabase|infra|tools|test|\.github)\//;
const pathLike =
  /`([\w@.-]+(?:\/[\w@.-]+)+\.(?:ts|tsx|mjs|md|sql|toml|yml|json|svg|Dockerfile)|[\w.-]+(?:\/[\w@.-]+)*\/)`/g;

/** The name that GitHub gives a heading, by which a link finds it. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[`*]|\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');

const anchorsOf = (text: string): string[] =>
  [...withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => anchorOf(heading as string));

const withoutCode = (text: string): string => text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '');

/** A document that names something that does not exist. */
export interface BrokenReference {
  document: string;
  reference: string;
}

/**
 * The links of a Markdown document to files or headings that do not exist, and the paths of this repository in
 * backticks that do not exist.
 * @param document relative to `root`
 */
export function brokenReferences(root: string, document: string, text: string): BrokenReference[] {
  const broken: string[] = [];
  const here = path.dirname(document);
  const prose = withoutCode(text);
  for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file = '', anchor] = target.split('#');
    const found = file === '' ? document : path.join(here, file);
    const full = path.join(root, found);
    if (found !== document && !existsSync(full)) broken.push(target);
    else if (anchor !== undefined && found.endsWith('.md')) {
      const other = found === document ? text : readFileSync(full, 'utf8');
      if (!anchorsOf(other).includes(anchor)) broken.push(target);
    }
  }
  for (const [, named = ''] of prose.matchAll(pathLike)) {
    const isHere = existsSync(path.join(root, here, named));
    if (!repositoryPath.test(named) || generated.has(named) || isHere || existsSync(path.join(root, named))) continue;
    broken.push(named);
  }
  return broken.map((reference) => ({ document, reference }));
}

/** Every Markdown document that git knows, or would add. */
export const documentsOf = (root: string): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((name) => name !== '' && existsSync(path.join(root, name)));
