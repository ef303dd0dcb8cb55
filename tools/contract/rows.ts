import { readFileSync } from 'node:fs';
import path from 'node:path';

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
