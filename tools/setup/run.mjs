/**
 * Sets the repository up, then runs a program with the repository's own Node.
 *
 *   node tools/setup/run.mjs [--browser] PROGRAM.ts [ARGUMENT …]
 *
 * Plain JavaScript for any Node ≥ 18, because it runs before anything is installed. What it does, each only when needed:
 *   1. `npm ci`, when node_modules does not match package-lock.json;
 *   2. with --browser, a Chromium: the system's, else the distribution's package, else Playwright's download.
 * Everything it says goes to standard error: standard output belongs to the program.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const modules = path.join(root, 'node_modules');
const stamp = path.join(modules, '.greenroom-setup');
const nodeBinary = path.join(modules, '.bin', 'node');
const say = (line) => process.stderr.write(`${line}\n`);

/** Ends with what a person can do about it. */
function fail(what, remedy) {
  say(`\nSet-up failed: ${what}\n  ${remedy}\n`);
  process.exit(1);
}

/** Runs a set-up command with its progress on standard error; true when it succeeded. */
function attempt(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  return result.status === 0;
}

/** Whether a process exists, also where there is no /proc. */
function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Only one set-up at a time: two `npm ci` in one folder destroy each other's work. */
function withLock(work) {
  const lock = path.join(root, '.greenroom', 'setup.lock');
  mkdirSync(path.dirname(lock), { recursive: true });
  for (let waited = 0; ; waited += 1) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch {
      const owner = Number(readFileSync(lock, { encoding: 'utf8', flag: 'a+' }));
      if (!owner || !isRunning(owner)) rmSync(lock, { force: true });
      else if (waited === 0) say(`Waiting for another set-up (process ${owner}) …`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

const lockHash = () =>
  createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
const installed = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash() && existsSync(nodeBinary);

function installDependencies() {
  if (installed()) return;
  withLock(() => {
    if (installed()) return;
    say('Installing dependencies from package-lock.json …');
    const startedMs = Date.now();
    const npm = process.env.npm_execpath;
    // Errors only: npm warns of packages that need a newer Node than this one, and they run on the Node that is installed here.
    const ci = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const ok = npm?.endsWith('.js') ? attempt(process.execPath, [npm, ...ci]) : attempt('npm', ci);
    if (!ok)
      fail('npm ci did not succeed.', 'Read its message above; with a network problem, try the same command again.');
    // Where install scripts are blocked, the package that brings Node has not fetched its binary yet.
    if (!nodeWorks()) attempt(process.execPath, ['installArchSpecificPackage'], { cwd: path.join(modules, 'node') });
    if (!nodeWorks())
      fail(
        'the Node 24 of the dev dependency `node` does not run here.',
        'Install Node 24 or newer and run the command again.',
      );
    writeFileSync(stamp, lockHash());
    say(`Dependencies are installed (${Math.round((Date.now() - startedMs) / 1000)} s).`);
  });
}

function nodeWorks() {
  const result = spawnSync(nodeBinary, ['-p', 'process.versions.node'], { encoding: 'utf8' });
  return result.status === 0 && Number(result.stdout.split('.')[0]) >= 24;
}

const isExecutable = (file) => existsSync(file) && statSync(file).isFile();

/** A Chromium on this machine, or undefined. */
function findBrowser() {
  if (process.env.CHROMIUM_PATH) return process.env.CHROMIUM_PATH;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const onPath = folders.flatMap((folder) => names.map((name) => path.join(folder, name))).find(isExecutable);
  if (onPath) return onPath;
  const cache = process.env.PLAYWRIGHT_BROWSERS_PATH ?? path.join(homedir(), '.cache', 'ms-playwright');
  if (!existsSync(cache)) return undefined;
  return readdirSync(cache)
    .filter((name) => name.startsWith('chromium-'))
    .flatMap((name) => ['chrome-linux/chrome', 'chrome-linux64/chrome'].map((file) => path.join(cache, name, file)))
    .find(isExecutable);
}

/** Finds or installs a Chromium; its path. */
function provideBrowser() {
  const found = findBrowser();
  if (found) return found;
  return withLock(() => {
    if (existsSync('/usr/bin/apt-get') && process.getuid?.() === 0) {
      say('Installing Chromium from the distribution (apt-get install chromium) …');
      const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      attempt('apt-get', ['update', '-q'], { env: environment });
      attempt('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'chromium'], { env: environment });
    }
    if (!findBrowser()) {
      say('Installing Chromium by Playwright …');
      attempt(nodeBinary, [path.join(modules, 'playwright-core', 'cli.js'), 'install', 'chromium']);
    }
    return (
      findBrowser() ??
      fail(
        'the browser tests need a Chromium and none could be installed.',
        'Install one (Debian, Ubuntu: sudo apt-get install chromium) or set CHROMIUM_PATH to one.',
      )
    );
  });
}

/** Runs the program; its signals and exit code are ours. */
function run(program, args, environment) {
  const child = spawn(nodeBinary, [program, ...args], { stdio: 'inherit', env: environment });
  // Ctrl-C reaches the whole process group; here it is only waited for. The others are passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}

const args = process.argv.slice(2);
const wantsBrowser = args[0] === '--browser';
if (wantsBrowser) args.shift();
const [program, ...rest] = args;
if (!program) fail('no program was named.', 'Use npm start, npm test or npm run demo.');
if (process.platform !== 'linux' || process.arch !== 'x64') {
  say(
    `Note: the local cloud's binaries are for Linux x64; this is ${process.platform} ${process.arch}. Set POSTGRES_BIN_DIR and POSTGREST_BIN to your own.`,
  );
}
installDependencies();
// `demo --headed` and `bench room` need a browser as much as the browser tests do.
const browser =
  wantsBrowser || rest.includes('--headed') || rest.includes('room') ? { CHROMIUM_PATH: provideBrowser() } : {};
run(path.resolve(root, program), rest, {
  ...process.env,
  ...browser,
  PATH: `${path.join(modules, '.bin')}${path.delimiter}${process.env.PATH ?? ''}`,
});
