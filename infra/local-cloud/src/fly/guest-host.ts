/**
 * Gives each guest the environment of a machine: its address, its variables, its API socket and its log.
 *
 * - An image from the registry runs in its own file tree. There the machine's API socket is in `/.fly`, as at
 *   Fly.
 * - The platform's variables override the machine's `env`. Of the others the last wins: image, platform
 *   extras, app secrets, `config.env`.
 */
import { chmodSync, linkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openImageTree } from '../registry/image-tree.ts';
import type { PushedImage } from '../registry/registry.ts';
import type { IdentitySockets } from './identity-sockets.ts';
import { type RunningGuest, startInProcess, startProcess } from './runtime.ts';
import type { Machine } from './state.ts';

export interface GuestHost {
  start(machine: Machine): Promise<RunningGuest>;
  /** Releases what the guest used. */
  ended(machine: Machine): void;
  /** The last lines that a machine wrote, oldest first. */
  logsOf(machineId: string): string[];
}

export interface GuestHostDeps {
  sockets: IdentitySockets;
  /** PATH of the guests. */
  path: string;
  machineEnv: Readonly<Record<string, string>>;
  /** Where images from the registry are unpacked. Must be on the same file system as the sockets. */
  treesDir: string;
  log(line: string, machineId: string): void;
}

const LINES_KEPT = 500;
/** Number of machines whose lines are kept. The ones that have been silent longest are dropped first. */
const LOGS_KEPT = 2_000;

function imageReference(machine: Machine): string {
  const { registry, repository, tag, digest } = machine.image.ref;
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}@${digest}`;
}

/** All machines share this computer, so a variable that means all addresses of a machine means its own one here. */
const onOwnAddress = ({ config: { env = {} }, address }: Machine): Record<string, string> =>
  Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value === '0.0.0.0' ? address : value]));

function platformEnv(machine: Machine, socketPath: string | undefined): Record<string, string> {
  return {
    FLY_APP_NAME: machine.app.name,
    FLY_MACHINE_ID: machine.id,
    FLY_ALLOC_ID: machine.id,
    FLY_REGION: machine.region,
    FLY_IMAGE_REF: imageReference(machine),
    FLY_MACHINE_VERSION: machine.instanceId,
    FLY_PRIVATE_IP: machine.address,
    FLY_PUBLIC_IP: machine.address,
    FLY_PROCESS_GROUP: machine.config.metadata?.fly_process_group ?? 'app',
    FLY_VM_MEMORY_MB: String(machine.config.guest?.memory_mb ?? 256),
    PRIMARY_REGION: machine.region,
    HOST: machine.address,
    ...(socketPath === undefined ? {} : { FLY_API_SOCKET: socketPath }),
  };
}

/** `init` overrides the image's own command, as Docker combines ENTRYPOINT and CMD. */
function commandOf(machine: Machine, imageCommand: readonly string[]): readonly string[] {
  const { exec, entrypoint, cmd } = machine.config.init ?? {};
  return exec ?? [...(entrypoint ?? imageCommand), ...(cmd ?? [])];
}

export function createGuestHost({ sockets, path, machineEnv, treesDir, log }: GuestHostDeps): GuestHost {
  const linked = new Map<string, string>();
  const logs = new Map<string, string[]>();

  function keep(machineId: string, line: string): void {
    const lines = logs.get(machineId) ?? [];
    logs.delete(machineId);
    logs.set(machineId, lines);
    lines.push(line);
    if (lines.length > LINES_KEPT) lines.shift();
    if (logs.size > LOGS_KEPT) logs.delete(logs.keys().next().value!);
    log(line, machineId);
  }

  /** @param imageEnv the image's own variables */
  function environment(
    machine: Machine,
    socketPath: string | undefined,
    imageEnv = machine.image.definition.env,
  ): Record<string, string> {
    const secrets = Object.fromEntries([...machine.app.secrets].map(([name, secret]) => [name, secret.value]));
    return {
      PATH: path,
      ...imageEnv,
      ...machineEnv,
      ...secrets,
      ...onOwnAddress(machine),
      ...platformEnv(machine, socketPath),
    };
  }

  /** Starts a guest from an image of the registry. */
  async function startPushed(machine: Machine, pushed: PushedImage): Promise<RunningGuest> {
    const tree = await openImageTree(pushed, treesDir);
    const inside = `/.fly/${machine.id}`;
    const link = join(tree.root, inside);
    rmSync(link, { force: true });
    const socket = await sockets.open(machine);
    // The image's user may differ from the user that created the socket.
    chmodSync(socket, 0o666);
    linkSync(socket, link);
    linked.set(machine.id, link);
    const { exec, entrypoint, cmd } = machine.config.init ?? {};
    const command = exec ?? [...(entrypoint ?? pushed.entrypoint), ...(cmd ?? (entrypoint ? [] : pushed.cmd))];
    const env = environment(machine, tree.pathIn(inside), tree.env);
    return startProcess({ command: tree.commandIn(command), env, onLine: (line) => keep(machine.id, line) });
  }

  return {
    logsOf: (machineId) => [...(logs.get(machineId) ?? [])],
    ended: (machine) => {
      sockets.close(machine.id);
      const link = linked.get(machine.id);
      if (link !== undefined) rmSync(link, { force: true });
      linked.delete(machine.id);
    },
    start: async (machine) => {
      const { definition } = machine.image;
      if ('pushed' in definition) return startPushed(machine, definition.pushed);
      const wantsSocket = !('inProcess' in definition) || definition.apiSocket !== false;
      const env = environment(machine, wantsSocket ? await sockets.open(machine) : undefined);
      const onLine = (line: string) => keep(machine.id, line);
      if ('command' in definition) {
        return startProcess({ command: commandOf(machine, definition.command), env, onLine });
      }
      const { id: machineId, name: machineName, region, address: host } = machine;
      const context = { machineId, machineName, appName: machine.app.name, region, host, env, log: onLine };
      return startInProcess(definition.inProcess, context);
    },
  };
}
