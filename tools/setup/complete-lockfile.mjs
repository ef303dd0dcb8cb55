/**
 * Completes package-lock.json: `node tools/setup/complete-lockfile.mjs`, after `npm install` has changed it.
 *
 * npm leaves a package's build for another platform out of the lockfile when the registry at hand does not carry it, and
 * `npm ci` then refuses the lockfile everywhere. The version of such a build is named by its parent and its platform by
 * its own name, so the entry can be written without fetching it.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));

const systems = [/android/, /darwin/, /win(?:32|dows)/, /freebsd/, /linux/];
const systemNames = ['android', 'darwin', 'win32', 'freebsd', 'linux'];

/** What the name of a platform's build says of it; undefined when it says too little. */
function platformOf(name) {
  const system = systemNames[systems.findIndex((pattern) => pattern.test(name))];
  const cpu = /arm64|aarch64/.test(name) ? 'arm64' : /x64|amd64/.test(name) ? 'x64' : undefined;
  if (!system || !cpu) return undefined;
  const libc = /musl/.test(name) ? { libc: ['musl'] } : /glibc/.test(name) ? { libc: ['glibc'] } : {};
  return { cpu: [cpu], ...libc, os: [system] };
}

const added = [];
for (const [place, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const known = lock.packages[`node_modules/${name}`] ?? lock.packages[`${place}/node_modules/${name}`];
    const platform = platformOf(name);
    if (known || !platform || !/^\d+\.\d+\.\d+$/.test(version)) continue;
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      ...platform,
    };
    added.push(name);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added.length} entries added${added.length > 0 ? `: ${added.join(', ')}` : ''}\n`);
