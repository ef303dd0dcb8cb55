import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Script } from 'node:vm';

/**
 * The file that the image runs (`worker.cjs`). It runs the bundle beside it, with the code that V8 compiled of it during the
 * rehearsal (rehearse.ts).
 *
 * - Node's own compile cache holds only what is compiled when a file is loaded. Functions are compiled at their first call, and
 *   this cache holds them too: it is made at the end of a worker's life.
 * - The cache's name contains the digest of the bundle. V8 itself refuses the cache of another version of V8. Without a cache,
 *   V8 compiles as usual.
 */
declare const bundleName: string;

const bundle = path.join(__dirname, `${bundleName}.cjs`);
const cache = path.join(__dirname, `${bundleName}.cache`);

function compiled(): Buffer | undefined {
  try {
    return readFileSync(cache);
  } catch {
    return undefined;
  }
}

function load(): Script {
  const cachedData = compiled();
  return new Script(readFileSync(bundle, 'latin1'), { filename: bundle, ...(cachedData ? { cachedData } : {}) });
}

const script = load();
if (process.argv.includes('--keep-compiled')) process.on('exit', () => writeFileSync(cache, script.createCachedData()));
script.runInThisContext()(require);
