import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildPackage } from '../../../client/build-package.ts';
import type { Figure } from '../figures.ts';
import { figure } from './parts.ts';

export async function packageSizes(): Promise<Figure[]> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  try {
    const { minified } = await buildPackage(dir);
    const size = (name: string) => gzipSync(minified[name] ?? '', { level: 9 }).length / 1_000;
    return [
      figure('headless SDK, gzip', size('index'), 'kB', 12),
      figure('React layer, gzip', size('react') - size('index'), 'kB', 20),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
