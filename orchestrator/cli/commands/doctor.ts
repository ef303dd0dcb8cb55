import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import type { Config } from '../../src/config.ts';
import { readConfig } from '../../src/config.ts';
import { checks, examine, type Finding, isHealthy } from '../checks/doctor.ts';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished } from '../console.ts';

/** `greenroom doctor`: checks every outside service with an orchestrator's environment, before a candidate needs it. */
interface Options {
  live?: true;
  only?: string;
}

const settingsMean = 'Without them no orchestrator starts.';

/** Reading the settings is the first check. If it fails, no other check can run. */
function readSettings({ environment }: Console): Config | Finding {
  try {
    return readConfig({ ...environment });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      id: 'settings',
      status: 'fail',
      means: settingsMean,
      detail: error.message,
      fix: 'Correct these variables in the environment or in .env; .env.example says what each may hold.',
    };
  }
}

const width = 27;

function linesOf(finding: Finding): string[] {
  const { id, status, detail, means } = finding;
  const first = `${status.padEnd(8)}${id.padEnd(width)}${detail}`;
  if (finding.status === 'ok') return [first];
  const indent = ' '.repeat(8 + width);
  return [first, `${indent}For candidates: ${means}`, `${indent}Fix: ${finding.fix}`];
}

const present = (findings: Finding[]): Finished => ({
  document: { findings },
  lines: findings.flatMap(linesOf),
  exit: isHealthy(findings) ? 'done' : 'failed',
});

export async function doctor(options: Options, console: Console, home: string): Promise<Finished> {
  const only = options.only?.split(',');
  const chosen = checks.filter(({ id }) => only === undefined || only.includes(id));
  if (chosen.length === 0 && only?.includes('settings') !== true)
    throw new CliError('usage', 'no_such_check', `There is no check ${options.only}. docs/doctor.md lists them.`);
  const config = readSettings(console);
  if ('status' in config) return present([config]);
  const settings: Finding = { id: 'settings', status: 'ok', means: settingsMean, detail: 'All are set and readable.' };
  const context = { config, environment: console.environment, home, now: systemClock.now };
  const found = await examine(context, options.live ?? only !== undefined, chosen);
  return present(only === undefined || only.includes('settings') ? [settings, ...found] : found);
}

export const doctorCommand: Register = (program, run, home) => {
  program
    .command('doctor')
    .description('Check every outside service; each line says what it means for candidates and how to correct it.')
    .option(
      '--live',
      'also make something small at Fly and at the voice provider, and remove it again (costs under a cent)',
    )
    .option('--only <ids>', 'show only these checks, separated by commas')
    .action(run((options: Options, console) => doctor(options, console, home)));
};
