import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPackage } from '../build-package.ts';

const run = promisify(execFile);
const bin = (name: string) => path.join(import.meta.dirname, '../../node_modules/.bin', name);

describe('the published package', () => {
  let dir: string;
  let minified: Record<string, Uint8Array>;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'greenroom-client-'));
    ({ minified } = await buildPackage(dir));
  }, 60_000);
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test('the package is at most 12 kB gzipped and does not contain zod', () => {
    const code = minified.index as Uint8Array;
    expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(12_000);
    expect(Buffer.from(code).toString()).not.toMatch(/ZodError|zod/i);
  });

  test('the upload of leftovers and the computation of statistics are loaded when they are needed', () => {
    const code = Buffer.from(minified.index as Uint8Array).toString();
    expect([code.includes('Bearer'), code.includes('currentRoundTripTime')]).toEqual([false, false]);
  });

  test('the React components add at most 20 kB gzipped, and import React instead of containing it', () => {
    const code = minified.react as Uint8Array;
    const headless = gzipSync(minified.index as Uint8Array, { level: 9 }).length;
    expect(gzipSync(code, { level: 9 }).length - headless).toBeLessThanOrEqual(20_000);
    expect(Buffer.from(code).toString()).toMatch(/from"react"/);
  });

  test('the recording of a camera is at most 5 kB gzipped, and neither of the others loads it at once', () => {
    expect(gzipSync(minified.recording as Uint8Array, { level: 9 }).length).toBeLessThanOrEqual(5_000);
    const contains = (name: string) =>
      Buffer.from(minified[name] as Uint8Array)
        .toString()
        .includes('MediaRecorder');
    expect([contains('recording'), contains('index')]).toEqual([true, false]);
    expect(Buffer.from(minified.react as Uint8Array).toString()).not.toContain('content-range');
  });

  test('publint reports nothing about the package', async () => {
    const { messages } = await publint({ pkgDir: dir, level: 'warning', strict: true });
    expect(messages).toEqual([]);
  });

  test('the types of the package resolve in every ES module setting', async () => {
    const { stdout } = await run(bin('attw'), [
      '--pack',
      dir,
      '--profile',
      'esm-only',
      '--ignore-rules',
      'cjs-resolves-to-esm',
      // A stylesheet has no types.
      '--exclude-entrypoints',
      'review.css',
      '--format',
      'json',
    ]);
    // `require()` is not supported.
    expect(Object.keys(JSON.parse(stdout).problems ?? {}).filter((kind) => kind !== 'CJSResolvesToESM')).toEqual([]);
  }, 60_000);
});
