import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

/**
 * Starts the worker once while the image is being built, and keeps what V8 compiled in a file beside the bundle (start.ts).
 *
 * The worker is told that its machine is hot and has no session, so it practises (src/practice.ts). Then its claim is refused,
 * and it exits. What is kept is therefore all that runs until a worker listens, and all that a candidate's first socket needs.
 *
 * @param file what `buildWorker` returned as `file`
 * @param uid the user of the process. Default: the user of this process.
 */
export async function rehearse(file: string, uid?: number): Promise<void> {
  const outside = await serveOutside(path.join(path.dirname(file), `rehearsal-${process.pid}.sock`));
  // `--predictable`: what V8 compiles must not depend on timing, or two builds of one commit differ. It is no
  // part of what a cache is valid for.
  const child = spawn(process.execPath, ['--predictable', file, '--keep-compiled'], {
    env: { HOST: '127.0.0.1', PORT: '0', ...outside.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let said = '';
  const hear = (chunk: Buffer) => {
    said += String(chunk);
    if (said.includes(practised)) outside.refuse();
    if (said.includes(practiceFailed)) child.kill('SIGKILL');
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const [code] = await once(child, 'exit').finally(outside.close);
  if (code !== 0 || !said.includes(practised)) throw new Error(`the worker's rehearsal failed (exit ${code}): ${said}`);
}

/** Log lines of src/worker.ts. */
const practised = '"practised"';
const practiceFailed = 'the practice failed';

/** The machine's identity socket and the orchestrator: the machine is hot, has no session, and gets none. */
async function serveOutside(socketPath: string) {
  let isOver = false;
  const held = new Set<ServerResponse>();
  const answer = (response: ServerResponse) => {
    response.writeHead(isOver ? 409 : 202, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isOver ? { code: 'claim_refused' } : { hold_ms: 60_000 }));
  };
  let claims = 0;
  const orchestrator = await listening((_request, response) => {
    claims += 1;
    if (claims === 1 || isOver) answer(response);
    else held.add(response);
  }, 0);
  const identity = await listening((_request, response) => void response.end('header.payload.signature'), socketPath);
  const { port } = orchestrator.address() as AddressInfo;
  return {
    environment: { ORCHESTRATOR_URL: `http://127.0.0.1:${port}`, FLY_API_SOCKET: socketPath },
    refuse: () => {
      isOver = true;
      for (const response of held) answer(response);
      held.clear();
    },
    close: async () => {
      for (const server of [orchestrator, identity]) {
        server.closeAllConnections();
        server.close();
      }
      await rm(socketPath, { force: true });
    },
  };
}

async function listening(answer: RequestListener, at: number | string): Promise<Server> {
  const server = createServer(answer);
  if (typeof at === 'number') server.listen(at, '127.0.0.1');
  else server.listen({ path: at, readableAll: true, writableAll: true });
  await once(server, 'listening');
  return server;
}

if (process.argv[1] === import.meta.filename) {
  const [file, uid] = process.argv.slice(2);
  if (!file) throw new Error('usage: node session-worker/rehearse.ts FILE [UID]');
  await rehearse(file, uid === undefined ? undefined : Number(uid));
}
