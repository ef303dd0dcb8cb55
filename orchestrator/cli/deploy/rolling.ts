import { CliError, type Console } from '../console.ts';
import type { DeployedMachine, FlyAdmin, MachineConfig } from './fly-admin.ts';

/**
 * Replaces the orchestrators one after the other. Each must run and pass its checks before the next one is touched. If one does
 * not, it and the ones replaced before it get their former configuration back, and new machines are destroyed.
 *
 * Live interviews continue: they keep no state in an orchestrator, and their sockets end at the workers.
 */
export interface Step {
  region: string;
  /** Undefined: create a new machine. */
  machine?: DeployedMachine;
  config: MachineConfig;
}

interface Done {
  id: string;
  before: DeployedMachine | undefined;
}

export interface RollOptions {
  fly: FlyAdmin;
  app: string;
  /** How long a replaced orchestrator may take until it runs and its checks pass. */
  healthyMs: number;
  /** Minimum version of the app's secrets that a machine must start with. */
  secretsVersion?: number;
  console: Console;
}

async function why({ fly, app, healthyMs }: RollOptions, id: string, result: string): Promise<string> {
  if (result !== 'ended') return `was not healthy after ${healthyMs / 1_000} s (${result})`;
  const { exitCode, outOfMemory } = await fly.ended(app, id);
  if (outOfMemory) return 'ran out of memory';
  if (exitCode === 78) return 'ended at once: its configuration is not usable (exit code 78)';
  return `ended with exit code ${exitCode ?? 'unknown'}`;
}

export async function rollOrchestrators(steps: Step[], options: RollOptions): Promise<DeployedMachine[]> {
  const { fly, app, healthyMs, secretsVersion, console } = options;
  const done: Done[] = [];
  const version = secretsVersion === undefined ? {} : { min_secrets_version: secretsVersion };

  async function undo(): Promise<void> {
    for (const { id, before } of done.toReversed()) {
      if (before === undefined) {
        await fly.destroy(app, id);
        continue;
      }
      console.progress(`giving ${before.name} its former configuration back`);
      const now = await fly.get(app, id);
      if (now === undefined) continue;
      await fly.update(app, now, { config: before.config });
      await fly.untilHealthy(app, id, healthyMs);
    }
  }

  async function replace({ region, machine, config }: Step): Promise<DeployedMachine> {
    const begun =
      machine === undefined
        ? await fly.create(app, {
            name: `orchestrator-${region}-${Date.now().toString(36)}`,
            region,
            config,
            ...version,
          })
        : await fly.update(app, machine, { config, ...version });
    done.push({ id: begun.id, before: machine });
    console.progress(`${machine === undefined ? 'created' : 'replacing'} ${begun.name} in ${region}`);
    const result = await fly.untilHealthy(app, begun.id, healthyMs);
    if (result === 'healthy') return begun;
    throw new CliError(
      'failed',
      'orchestrator_not_healthy',
      `The orchestrator in ${region} ${await why(options, begun.id, result)}. See what it wrote: fly logs --app ${app} --machine ${begun.id}`,
    );
  }

  const replaced: DeployedMachine[] = [];
  try {
    for (const step of steps) replaced.push(await replace(step));
    return replaced;
  } catch (error) {
    await undo().catch((alsoFailed: unknown) =>
      console.progress(`undoing it failed too: ${(alsoFailed as Error).message}`),
    );
    throw error;
  }
}
