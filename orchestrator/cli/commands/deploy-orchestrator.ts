import path from 'node:path';
import { withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import { deploymentMark } from '../../src/tenants/onboarding.ts';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';
import { createFlyAdmin, type DeployedMachine, type FlyAdmin, type MachineConfig } from '../deploy/fly-admin.ts';
import { durationMs, type FlyToml, machineConfigOf, readFlyToml } from '../deploy/fly-toml.ts';
import { createImages, type ImageChoice } from '../deploy/image.ts';
import { machineOfOtherStack } from '../deploy/other-stack.ts';
import { rollOrchestrators, type Step } from '../deploy/rolling.ts';
import {
  type FlySettings,
  type OrchestratorVariables,
  readFlySettings,
  readOrchestratorVariables,
} from '../deploy/settings.ts';

/**
 * `greenroom deploy orchestrator`: app, image, migration, secrets, then one orchestrator after the other.
 *
 * Everything that can be refused is checked before anything is changed; the database is migrated before any orchestrator is
 * replaced, and secrets are set only when that has succeeded.
 */
interface Options extends ImageChoice {
  config: string;
  workerConfig: string;
  region?: string[];
  dryRun?: true;
}

const role = 'greenroom_role';

/** The regions to deploy to: the named ones and those that already have orchestrators. */
function regionsOf({ region = [] }: Options, file: FlyToml, machines: DeployedMachine[]): string[] {
  const there = machines.map((machine) => machine.region);
  const second = file.primary_region === 'iad' ? 'fra' : 'iad';
  const wanted = region.length > 0 || there.length > 0 ? [...there, ...region] : [file.primary_region, second];
  const regions = [...new Set(wanted)];
  if (regions.length < 2)
    throw new CliError(
      'usage',
      'one_region',
      `Orchestrators need two regions at least, so that the loss of one ends no service: add --region ${second}.`,
    );
  return regions;
}

/** Refuses a deployment id that another stack uses: the two stacks would destroy each other's machines. */
async function refuseSharedDeployment(
  fly: FlyAdmin,
  app: string,
  { org, deploymentId }: FlySettings,
  mark: string,
): Promise<void> {
  const machine = machineOfOtherStack(await fly.ofOrganisation(org), { deploymentId, mark, app });
  if (machine)
    throw new CliError(
      'inconsistent',
      'deployment_id_in_use',
      `DEPLOYMENT_ID ${deploymentId} is in use by another stack: machine ${machine.id} of app ${machine.app} belongs to it. Choose another DEPLOYMENT_ID, or take that stack down first. Nothing was changed.`,
    );
}

/** The meaning of an exit code of the release command. */
const releaseFailures: Record<number, string> = {
  65: 'the database is in a state that the records do not explain (half applied, or ahead of this release)',
  69: 'the database does not answer from Fly',
  78: 'SUPABASE_DB_URL is not usable',
  4: 'the database refuses the user, password or role of SUPABASE_DB_URL',
};

async function release(fly: FlyAdmin, file: FlyToml, image: string, console: Console): Promise<void> {
  if (file.deploy === undefined) return;
  const dbUrl = needed(
    console,
    'SUPABASE_DB_URL',
    'the connection string of role postgres; the release command migrates with it.',
  );
  const ca = console.environment.SUPABASE_DB_CA;
  console.progress(`release command: ${file.deploy.release_command}`);
  // Only this machine's configuration contains the password. The machine is destroyed when it has ended; no orchestrator gets it.
  const machine = await fly.create(file.app, {
    name: `release-${Date.now().toString(36)}`,
    region: file.primary_region,
    config: {
      image,
      init: { cmd: file.deploy.release_command.split(' ') },
      env: { ...file.env, SUPABASE_DB_URL: dbUrl, ...(ca === undefined ? {} : { SUPABASE_DB_CA: ca }) },
      metadata: { [role]: 'release' },
      guest: file.vm[0],
      restart: { policy: 'no' },
      auto_destroy: false,
    },
  });
  try {
    const limitMs = durationMs(file.deploy.release_command_timeout);
    const ended = await fly.untilEnded(file.app, machine.id, limitMs);
    if (ended?.exitCode === 0) return;
    const what =
      ended === undefined
        ? `was not done after ${limitMs / 1_000} s`
        : `ended with exit code ${ended.exitCode ?? 'unknown'}`;
    const meaning = releaseFailures[ended?.exitCode ?? -1];
    throw new CliError(
      'failed',
      'release_command_failed',
      `The release command ${what}${meaning ? `: ${meaning}` : ''}. No orchestrator was replaced. See the same from here: greenroom migrate --dry-run`,
    );
  } finally {
    await fly.destroy(file.app, machine.id);
  }
}

/**
 * The configuration of an orchestrator's machine: fly.orchestrator.toml with the image, the variables that are not secret, and
 * metadata that marks the machine as ours.
 */
const configOf = (
  file: FlyToml,
  image: string,
  { env, mark }: OrchestratorVariables,
  { deploymentId }: FlySettings,
): MachineConfig => ({
  ...machineConfigOf(file),
  image,
  env: { ...file.env, ...env },
  // `fly deploy` and `fly status` recognise machines by these two keys.
  metadata: {
    fly_process_group: 'app',
    fly_platform_version: 'v2',
    [role]: 'orchestrator',
    greenroom_deployment: deploymentId,
    greenroom_mark: mark,
  },
});

async function workerImageOf(
  options: Options,
  settings: FlySettings,
  machines: DeployedMachine[],
  home: string,
  console: Console,
) {
  const running = machines[0]?.config.env?.WORKER_IMAGE;
  if (running) return running;
  if (console.environment.WORKER_IMAGE) return console.environment.WORKER_IMAGE;
  const { app } = readFlyToml(path.resolve(home, options.workerConfig));
  const current = await createImages({ name: 'worker', app, ...settings, home, console }).current();
  if (current === undefined)
    throw new CliError(
      'configuration',
      'no_worker_image',
      `There is no worker image yet in ${settings.registry}/${app}. Deploy it first: greenroom deploy worker --build`,
    );
  return current;
}

export async function deployOrchestrator(options: Options, console: Console, home: string): Promise<Finished> {
  const file = readFlyToml(path.resolve(home, options.config));
  const settings = readFlySettings(console);
  const { org, deploymentId } = settings;
  const images = createImages({ name: 'orchestrator', app: file.app, ...settings, home, console });
  const fly = createFlyAdmin(settings);
  try {
    const exists = await fly.hasApp(file.app, org);
    const machines = exists
      ? (await fly.machines(file.app)).filter(({ config }) => config.metadata?.[role] === 'orchestrator')
      : [];
    const workerImage = await workerImageOf(options, settings, machines, home, console);
    const variables = readOrchestratorVariables(console, workerImage);
    const regions = regionsOf(options, file, machines);
    await refuseSharedDeployment(
      fly,
      file.app,
      settings,
      deploymentMark(deploymentId, withoutEndSlashes(needed(console, 'SUPABASE_URL', "the project's URL."))),
    );
    const steps = (image: string): Step[] =>
      regions.map((region) => {
        const machine = machines.find((one) => one.region === region);
        return {
          region,
          ...(machine === undefined ? {} : { machine }),
          config: configOf(file, image, variables, settings),
        };
      });
    const planned = { app: file.app, worker_image: workerImage, regions, secrets: Object.keys(variables.secrets) };
    if (options.dryRun) {
      const image = await images.preview(options);
      return {
        document: { dry_run: true, image, ...planned, release_command: file.deploy?.release_command ?? null },
        lines: [
          ...(exists ? [] : [`would create app ${file.app} in ${org}`]),
          `would deploy ${image}`,
          `would run ${file.deploy?.release_command ?? 'no release command'}`,
          ...steps(image).map(({ region, machine }) =>
            machine ? `would replace ${machine.name} in ${region}` : `would create an orchestrator in ${region}`,
          ),
        ],
      };
    }
    if (!exists) await fly.createApp(file.app, org);
    const image = await images.provide(options);
    console.progress(`image ${image}`);
    await release(fly, file, image, console);
    await fly.ensureAddresses(file.app);
    const secretsVersion = await fly.setSecrets(file.app, variables.secrets);
    const replaced = await rollOrchestrators(steps(image), {
      fly,
      app: file.app,
      healthyMs: durationMs(file.deploy?.wait_timeout ?? '2m'),
      secretsVersion,
      console,
    });
    await images.remember(image);
    const described = replaced.map(({ id, region }) => ({ id, region }));
    return {
      document: { image, ...planned, machines: described },
      lines: [
        `Deployed ${image}`,
        ...described.map(({ id, region }) => `  ${region}  ${id}`),
        `Reach it at ${variables.publicUrl}. Check it: greenroom doctor --live`,
      ],
    };
  } finally {
    await fly.close();
  }
}

export const deployOrchestratorCommand: Register = (deploy, run, home) => {
  imageOptions(deploy.command('orchestrator'))
    .description('Migrate the database, then replace the orchestrators one after the other.')
    .option('--config <file>', "the app's file", 'fly.orchestrator.toml')
    .option('--worker-config <file>', "the workers' file", 'fly.worker.toml')
    .option('--region <code...>', 'regions to have orchestrators in (default: where they are; at first two)')
    .action(run((options: Options, console) => deployOrchestrator(options, console, home)));
};

/** The options that choose a deployment's image. */
export const imageOptions = (command: import('commander').Command) =>
  command
    .option('--build', 'build the image here (buildah, as root), and push it')
    .option('--oci <folder>', 'push this OCI layout')
    .option('--image <reference>', 'take an image that is in a registry')
    .option('--rollback', 'go back to the image deployed before')
    .option('--dry-run', 'say what would be done, and change nothing');
