import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ServiceName } from './suite.ts';

/** docs/outside.md as a list: what the product relies on, and the kind of evidence for it. */
export interface Row {
  service: string;
  claim: string;
  evidence: string;
}

const page = path.resolve(import.meta.dirname, '../../docs/outside.md');

export function readRows(): Row[] {
  return readFileSync(page, 'utf8')
    .split(/^## /m)
    .slice(1)
    .flatMap((section) => {
      const [service = ''] = section.split('\n', 1);
      const lines = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| what we'));
      return lines.map((line) => {
        const [claim = '', , evidence = ''] = line.slice(2).split(' | ');
        return { service, claim, evidence };
      });
    });
}

/** The result of one case. */
export interface Outcome {
  service: ServiceName;
  title: string;
  /** The beginning of the row that the case is about. */
  row: string | undefined;
  ok: boolean;
  detail: string;
  /** Whether the real service answered. */
  real: boolean;
}

/** The evidence for a row after a run: only cases on a real service change it. */
export function evidenceOf({ claim, evidence }: Row, outcomes: Outcome[]): string {
  const about = outcomes.filter(({ row, real }) => real && row !== undefined && claim.startsWith(row));
  if (about.length === 0) return evidence;
  return about.every(({ ok }) => ok) ? 'shown' : 'contradicted by this run';
}
