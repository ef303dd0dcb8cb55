import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished } from '../console.ts';
import { createFlyAdmin, type FlyAdmin } from '../deploy/fly-admin.ts';
import { durationMs, type FlyToml, machineConfigOf, readFlyToml } from '../deploy/fly-toml.ts';
import { createImages, type ImageChoice } from '../deploy/image.ts';
import { rollOrchestrators } from '../deploy/rolling.ts';
import { type FlySettings, readFlySettings } from '../deploy/settings.ts';
import { imageOptions } from './deploy-orchestrator.ts';

/**
 * `greenroom deploy worker`: pins an image, boots it once in a test machine, configures one orchestrator after the other to use it,
 * and waits until the pools contain no standby machine of another image.
 *
 * Orchestrators replace standby and hot machines one by one as new ones become ready. A machine with a session is never touched:
 * its interview ends on the image that it began with.
 */
interface Options extends ImageChoice {
  config: string;
  orchestratorConfig: string;
  dryRun?: true;
  wait: boolean;
}

const trialLimitMs = 60_000;
const poolLimitMs = 300_000;
const pollMs = 1_000;

/** Boots the image once, without an interview, in the workers' own app. */
async function tryImage(fly: FlyAdmin, file: FlyToml, image: string, console: Console): Promise<void> {
  console.progress(`trying ${image}`);
  const machine = await fly.create(file.app, {
    name: `trial-${Date.now().toString(36)}`,
    region: file.primary_region,
    config: {
      ...machineConfigOf(file),
      image,
      // A worker without an orchestrator tries to claim for CLAIM_MS; until then it listens.
      env: { ...file.env, ORCHESTRATOR_URL: 'http://127.0.0.1:9' },
      metadata: { greenroom_role: 'trial' },
      auto_destroy: false,
    },
  });
  try {
    const result = await fly.untilHealthy(file.app, machine.id, trialLimitMs);
    if (result === 'healthy') return;
    const { exitCode } = await fly.ended(file.app, machine.id);
    const what =
      result === 'ended'
        ? `boots and ends with exit code ${exitCode ?? 'unknown'}`
        : `does not answer on /livez after ${trialLimitMs / 1_000} s (${result})`;
    throw new CliError(
      'failed',
      'image_does_not_boot',
      `The image ${what}. Nothing uses it: the orchestrators were left as they are. See what it wrote: fly logs --app ${file.app}`,
    );
  } finally {
    await fly.destroy(file.app, machine.id);
  }
}

/** This deployment's machines of other images: idle ones, which the pools replace, and live ones, which stay. */
async function others(fly: FlyAdmin, { org, deploymentId }: FlySettings, image: string) {
  const mine = (await fly.ofOrganisation(org)).filter(
    (machine) => machine.metadata.deployment_id === deploymentId && machine.image !== image,
  );
  const idle = mine.filter(({ metadata }) => metadata.session_id === undefined).length;
  return { idle, live: mine.length - idle };
}

async function followPools(fly: FlyAdmin, settings: FlySettings, image: string, console: Console) {
  const deadlineMs = performance.now() + poolLimitMs;
  for (let last = ''; ; await sleep(pollMs)) {
    const left = await others(fly, settings, image);
    if (left.idle === 0) return left;
    const line = `${left.idle} standby machines of other images are left`;
    if (line !== last) console.progress(line);
    last = line;
    if (performance.now() > deadlineMs)
      throw new CliError(
        'timedOut',
        'pools_not_rolled',
        `${line} after ${poolLimitMs / 1_000} s. The orchestrators have the new image and go on replacing them. Look again: greenroom deploy worker --image ${image}`,
      );
  }
}

export async function deployWorker(options: Options, console: Console, home: string): Promise<Finished> {
  const file = readFlyToml(path.resolve(home, options.config));
  const { app: orchestrators, deploy } = readFlyToml(path.resolve(home, options.orchestratorConfig));
  const settings = readFlySettings(console);
  const images = createImages({ name: 'worker', app: file.app, ...settings, home, console });
  const fly = createFlyAdmin(settings);
  try {
    const exists = await fly.hasApp(file.app, settings.org);
    const running = (await fly.hasApp(orchestrators, settings.org)) ? await fly.machines(orchestrators) : [];
    const machines = running.filter(({ config }) => config.metadata?.greenroom_role === 'orchestrator');
    const foreign = machines.find(({ config }) => config.metadata?.greenroom_deployment !== settings.deploymentId);
    if (foreign)
      throw new CliError(
        'inconsistent',
        'other_deployment',
        `App ${orchestrators} runs deployment ${foreign.config.metadata?.greenroom_deployment}, not ${settings.deploymentId} (DEPLOYMENT_ID). Nothing was changed.`,
      );
    if (options.dryRun) {
      const image = await images.preview(options);
      const lines = [
        `would deploy ${image}`,
        `would try it in app ${file.app}`,
        ...machines.map(({ name, region }) => `would give it to ${name} in ${region}`),
      ];
      return { document: { dry_run: true, image, orchestrators: machines.map(({ id }) => id) }, lines };
    }
    if (!exists) await fly.createApp(file.app, settings.org);
    const image = await images.provide(options);
    await tryImage(fly, file, image, console);
    const steps = machines
      .filter(({ config }) => config.env?.WORKER_IMAGE !== image)
      .map((machine) => ({
        region: machine.region,
        machine,
        config: { ...machine.config, env: { ...machine.config.env, WORKER_IMAGE: image } },
      }));
    await rollOrchestrators(steps, {
      fly,
      app: orchestrators,
      healthyMs: durationMs(deploy?.wait_timeout ?? '2m'),
      console,
    });
    await images.remember(image);
    if (machines.length === 0)
      return {
        document: { image, orchestrators: [], live_on_other_images: 0 },
        lines: [
          `Pinned ${image}`,
          'There are no orchestrators yet. Deploy them: greenroom deploy orchestrator --build',
        ],
      };
    const left = options.wait ? await followPools(fly, settings, image, console) : await others(fly, settings, image);
    return {
      document: {
        image,
        orchestrators: machines.map(({ id }) => id),
        standby_on_other_images: left.idle,
        live_on_other_images: left.live,
      },
      lines: [`Deployed ${image}`, `${left.live} live interviews go on with the image that they began with.`],
    };
  } finally {
    await fly.close();
  }
}

export const deployWorkerCommand: Register = (deploy, run, home) => {
  imageOptions(deploy.command('worker'))
    .description('Pin a worker image, try it, and roll the pools without touching live interviews.')
    .option('--config <file>', "the workers' file", 'fly.worker.toml')
    .option('--orchestrator-config <file>', "the orchestrators' file", 'fly.orchestrator.toml')
    .option('--no-wait', 'do not wait until the pools are replaced')
    .action(run((options: Options, console) => deployWorker(options, console, home)));
};
