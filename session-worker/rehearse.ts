import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/**
 * One start of the bundle while its image is being built: what V8 compiled until the worker listened is left in a folder
 * beside it. With that folder in its environment a worker neither scans its text nor compiles what it needs at boot: a sixth
 * of the processor's time until it listens. Belongs to this bundle at this path and this Node; anything else is ignored by
 * Node, which then compiles as always.
 *
 * @param uid the user that will run the worker: Node keeps a cache for each. Default: this process's.
 * @returns the environment of a worker that is to use it.
 */
export async function rehearse(file: string, uid?: number): Promise<{ NODE_COMPILE_CACHE: string }> {
  const NODE_COMPILE_CACHE = path.join(path.dirname(file), 'compiled');
  const child = spawn(process.execPath, [file], {
    // Nobody is at these addresses: it listens, tries to claim, and is told to stop.
    env: {
      NODE_COMPILE_CACHE,
      HOST: '127.0.0.1',
      PORT: '0',
      ORCHESTRATOR_URL: 'http://127.0.0.1:9',
      FLY_API_SOCKET: path.join(path.dirname(file), 'nobody.sock'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let said = '';
  const hear = (chunk: Buffer) => {
    said += String(chunk);
    if (said.includes('"listening"')) child.kill('SIGTERM');
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the worker could not be rehearsed (exit ${code}): ${said}`);
  return { NODE_COMPILE_CACHE };
}

if (process.argv[1] === import.meta.filename) {
  const [file, uid] = process.argv.slice(2);
  if (!file) throw new Error('usage: node session-worker/rehearse.ts BUNDLE [UID]');
  await rehearse(file, uid === undefined ? undefined : Number(uid));
}
