/**
 * The API socket inside each machine: `POST /v1/tokens/oidc {"aud": …}` returns the machine's token as text.
 * There is no further authentication: only the machine can open its socket.
 *
 * Paths are kept short, because a unix socket's path may have 107 characters at most.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Faults } from '../faults.ts';
import type { Oidc } from './oidc.ts';
import type { Machine } from './state.ts';

const MAX_PATH = 107;
const MAX_BODY_BYTES = 64 * 1024;
/** `/` + 14 hex digits + `.s`. */
const FILE_LENGTH = 17;

export interface IdentitySockets {
  /** @returns the path of the machine's socket, which is listening. */
  open(machine: Machine): Promise<string>;
  close(machineId: string): void;
  /** Closes all and removes the directory. */
  stop(): Promise<void>;
}

export interface IdentitySocketsDeps {
  oidc: Oidc;
  faults: Faults;
  clock: Clock;
  /** Used if short enough, otherwise a new folder in the system's temporary folder. */
  dir: string;
}

async function socketDirectory(dir: string): Promise<string> {
  const wanted = join(dir, 's');
  if (wanted.length + FILE_LENGTH > MAX_PATH) return mkdtemp(join(tmpdir(), 'fly-'));
  await rm(wanted, { recursive: true, force: true });
  await mkdir(wanted, { recursive: true });
  return wanted;
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' })
    .end(text);
}

export async function createIdentitySockets({
  oidc,
  faults,
  clock,
  dir,
}: IdentitySocketsDeps): Promise<IdentitySockets> {
  const directory = await socketDirectory(dir);
  const servers = new Map<string, Server>();

  async function giveToken(machine: Machine, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request);
    if (!body) return answer(response, 400, { error: 'invalid request body' });
    const fault = faults.take('oidc', { app: machine.app.name, machine: machine.id });
    if (fault?.kind === 'status') return answer(response, fault.status, fault.body ?? { error: 'unavailable' });
    if (fault?.kind === 'drop_before') return void request.socket.destroy();
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'delay') await clock.sleep(fault.delayMs);
    const audience = typeof body.aud === 'string' ? body.aud : undefined;
    const token = await oidc.mint(machine, audience, fault?.kind === 'special' ? fault.name : undefined);
    if (fault?.kind === 'drop_after') return void request.socket.destroy();
    answer(response, 200, token);
  }

  function handle(machine: Machine, request: IncomingMessage, response: ServerResponse): void {
    if (request.url !== '/v1/tokens/oidc') {
      answer(response, 404, { error: 'not found' });
      return;
    }
    if (request.method !== 'POST') {
      answer(response, 405, { error: 'method not allowed' });
      return;
    }
    giveToken(machine, request, response).catch((error: unknown) => response.destroy(error as Error));
  }

  function close(machineId: string): void {
    const server = servers.get(machineId);
    servers.delete(machineId);
    server?.close();
    server?.closeAllConnections();
  }

  return {
    close,
    open: async (machine) => {
      close(machine.id);
      const path = join(directory, `${machine.id}.s`);
      await rm(path, { force: true });
      const server = createServer((request, response) => handle(machine, request, response));
      servers.set(machine.id, server);
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
      return path;
    },
    stop: async () => {
      for (const machineId of [...servers.keys()]) close(machineId);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
