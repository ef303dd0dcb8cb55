import { parseArgs } from 'node:util';
import { quickSuites, runSuites, slowSuites, summary } from './suites.ts';

/** The gate: everything that must pass before a change is merged. */
const suites = [...quickSuites, ...slowSuites];

const usage = `npm run verify       the quick suites: ${quickSuites.map(({ name }) => name).join(', ')}
npm test             all suites: the quick ones, ${slowSuites.map(({ name }) => name).join(', ')}
npm test -- NAME …   only the suites named

All suites run, even after one has failed. The last line is the sum. Exit 0 only if nothing failed.
`;

function chosen(names: string[], all: boolean) {
  const unknown = names.filter((name) => !suites.some((suite) => suite.name === name));
  if (unknown.length > 0) throw new Error(`There is no suite ${unknown.join(', ')}.`);
  if (names.length > 0) return suites.filter(({ name }) => names.includes(name));
  return all ? suites : quickSuites;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { all: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const finished = await runSuites(chosen(positionals, values.all));
  process.stdout.write(summary(finished));
  return finished.some(({ failed }) => failed > 0) ? 1 : 0;
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${usage}`);
  process.exit(2);
}
