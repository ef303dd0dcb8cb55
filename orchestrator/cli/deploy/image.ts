import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CliError, type Console } from '../console.ts';
import { createRegistryClient, parseReference, type RegistryClient } from './registry.ts';

/**
 * The image that a deployment uses, always pinned by its digest.
 *
 * The registry itself records what is deployed, by two tags of the app's repository: `current` and `previous`. So every
 * operator sees the same state, and a rollback needs only the registry.
 */
export interface ImageChoice {
  /** A reference to an image that is already in a registry. */
  image?: string;
  /** Folder of an OCI layout to push. */
  oci?: string;
  /** Build it here (buildah), then push it. */
  build?: true;
  rollback?: true;
}

export interface Images {
  /** Pushes the chosen image unless it is already in the registry. @returns `registry/app@sha256:…` */
  provide(choice: ImageChoice): Promise<string>;
  /** The image that a dry run shows. Pushes nothing. */
  preview(choice: ImageChoice): Promise<string>;
  /** The image deployed last; undefined before the first deployment. */
  current(): Promise<string | undefined>;
  /** Records the deployed image. */
  remember(reference: string): Promise<void>;
}

const sourcesOf = ({ image, oci, build, rollback }: ImageChoice) =>
  [image, oci, build, rollback].filter((given) => given !== undefined);

/** Builds the image with the repository's own builder. @returns the folder of the OCI layout */
function buildHere(name: string, home: string, console: Console): Promise<string> {
  const args = [path.join(home, 'tools/images/main.ts'), name, '--json'];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let said = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      said += chunk;
      for (const line of String(chunk).split('\n').filter(Boolean)) console.progress(line);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code !== 0)
        return reject(
          new CliError(
            'failed',
            'build_failed',
            `The ${name} image could not be built: ${said.trim().split('\n').at(-1)}`,
          ),
        );
      resolve((JSON.parse(output) as Record<string, { ociDir: string }>)[name]!.ociDir);
    });
  });
}

/** @param app owner of the repository in the registry. @param name which image `--build` makes */
export function createImages(options: {
  name: 'worker' | 'orchestrator';
  app: string;
  registry: string;
  token: string;
  home: string;
  console: Console;
}): Images {
  const { name, app, registry, token, home, console } = options;
  const client: RegistryClient = createRegistryClient(token, console.progress);
  const ours = (digest: string) => `${registry}/${app}@${digest}`;
  const tagged = (tag: string) =>
    client.digestOf({ registry, repository: app, reference: tag }).then(ours, (error: unknown) => {
      if (error instanceof CliError && error.code === 'no_such_image') return undefined;
      throw error;
    });

  async function inRegistry(reference: string): Promise<string> {
    const image = parseReference(reference);
    return `${image.registry}/${image.repository}@${await client.digestOf(image)}`;
  }

  async function previous(): Promise<string> {
    const found = await tagged('previous');
    if (found === undefined)
      throw new CliError(
        'notFound',
        'nothing_to_roll_back',
        `No earlier ${name} image is recorded in ${registry}/${app}.`,
      );
    return found;
  }

  function check(choice: ImageChoice): void {
    if (sourcesOf(choice).length !== 1)
      throw new CliError(
        'usage',
        'image_source',
        'Say where the image comes from: one of --build, --oci FOLDER, --image REFERENCE, --rollback.',
      );
  }

  return {
    current: () => tagged('current'),
    provide: async (choice) => {
      check(choice);
      if (choice.rollback) return previous();
      if (choice.image !== undefined) return inRegistry(choice.image);
      const layout = choice.oci ?? (await buildHere(name, home, console));
      return ours(await client.push(path.resolve(console.cwd, layout), registry, app));
    },
    preview: async (choice) => {
      check(choice);
      if (choice.rollback) return previous();
      if (choice.image !== undefined) return inRegistry(choice.image);
      if (choice.build) return `${registry}/${app}@(the digest of the build)`;
      const index = JSON.parse(readFileSync(path.resolve(console.cwd, choice.oci as string, 'index.json'), 'utf8')) as {
        manifests: Array<{ digest: string }>;
      };
      return ours(index.manifests[0]!.digest);
    },
    remember: async (reference) => {
      const before = await tagged('current');
      if (before === reference) return;
      const { registry: where, repository, reference: digest } = parseReference(reference);
      // An image in another registry is deployed unchanged. It cannot be tagged there.
      if (where !== registry || repository !== app) return;
      if (before !== undefined) await client.tag(registry, app, parseReference(before).reference, 'previous');
      await client.tag(registry, app, digest, 'current');
    },
  };
}
