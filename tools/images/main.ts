import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildImage, type ImageName } from './build.ts';
import { whyNotHere } from './commands.ts';

/**
 * Builds the images without Docker:
 *
 *   npm run images -- [worker] [orchestrator] [--dir FOLDER] [--json]
 *
 * Default: both, below `.greenroom/images`. Exit 2 when this machine cannot build images.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: path.resolve(import.meta.dirname, '../../.greenroom/images') },
    json: { type: 'boolean', default: false },
  },
});
const known: ImageName[] = ['worker', 'orchestrator'];
const unknown = positionals.find((name) => !known.includes(name as ImageName));
const why = unknown === undefined ? whyNotHere() : `Unknown image ${unknown}. Known: ${known.join(', ')}.`;
if (why !== undefined) {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}
const names = positionals.length > 0 ? (positionals as ImageName[]) : known;
const built = Object.fromEntries(
  names.map((name) => {
    process.stderr.write(`Building ${name} …\n`);
    return [name, buildImage(name, values.dir)];
  }),
);
for (const [name, { digest, compressedBytes }] of values.json ? [] : Object.entries(built)) {
  process.stdout.write(`${name.padEnd(14)} ${digest}  ${(compressedBytes / 1e6).toFixed(1)} MB\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(built)}\n`);
