import path from 'node:path';
import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import { Command, CommanderError } from 'commander';
import type { Register, Run } from './command.ts';
import { brakeCommand } from './commands/brake.ts';
import { completionCommand } from './commands/completion.ts';
import { deployOrchestratorCommand } from './commands/deploy-orchestrator.ts';
import { deployWorkerCommand } from './commands/deploy-worker.ts';
import { doctorCommand } from './commands/doctor.ts';
import { listenCommand } from './commands/listen.ts';
import { machinesCommand } from './commands/machines.ts';
import { migrateCommand } from './commands/migrate.ts';
import { poolCommand } from './commands/pool.ts';
import { regionsCommand } from './commands/regions.ts';
import { secretsCommand } from './commands/secrets.ts';
import { sessionsCommand } from './commands/sessions.ts';
import { smokeCommand } from './commands/smoke.ts';
import { statusCommand } from './commands/status.ts';
import { tenantsCommand } from './commands/tenants.ts';
import { webhooksCommand, workCommand } from './commands/work.ts';
import { CliError, type Console, environmentWithFile, exitCodes, present } from './console.ts';

/** One file per command below `commands/`; a new command is one line here. */
const deployCommand: Register = (program, run, home) => {
  const deploy = program.command('deploy').description('Put a new release into service, or go back to the one before.');
  for (const register of [deployWorkerCommand, deployOrchestratorCommand]) register(deploy, run, home);
};
const commands: Register[] = [
  secretsCommand,
  doctorCommand,
  migrateCommand,
  deployCommand,
  smokeCommand,
  statusCommand,
  sessionsCommand,
  listenCommand,
  machinesCommand,
  poolCommand,
  regionsCommand,
  tenantsCommand,
  webhooksCommand,
  workCommand,
  brakeCommand,
  completionCommand,
];

interface GlobalOptions {
  envFile?: string;
  json?: true;
}

/** Prints an error and returns its exit code. An error other than CliError and ConfigError is a defect and is printed with its stack. */
function failure(error: unknown, json: boolean, console: Console): number {
  const known =
    error instanceof CliError
      ? error
      : error instanceof ConfigError
        ? new CliError('configuration', 'configuration', error.message)
        : undefined;
  if (json)
    console.print(JSON.stringify({ ok: false, code: known?.code ?? 'defect', message: (error as Error).message }));
  console.progress(known ? known.message : String((error as Error).stack ?? error));
  return known ? exitCodes[known.exit] : exitCodes.failed;
}

/** Runs `greenroom` with these arguments. @returns the exit code */
export async function runProgram(args: string[], console: Console, home: string): Promise<number> {
  let code: number = exitCodes.done;
  const program = new Command('greenroom')
    .description('Deploys and operates Greenroom.')
    .option('--env-file <file>', 'file of variables; what the environment sets wins (default: .env when there is one)')
    .option('--json', 'print one JSON document')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => console.print(text.trimEnd()),
      writeErr: (text) => console.progress(text.trimEnd()),
    });
  const run: Run =
    (work) =>
    async (...args) => {
      const command = args.at(-1) as Command;
      const { envFile, json = false, ...options } = command.optsWithGlobals<GlobalOptions>();
      try {
        const file = path.resolve(console.cwd, envFile ?? console.environment.GREENROOM_ENV_FILE ?? '.env');
        const environment = environmentWithFile(console.environment, file, envFile !== undefined);
        code = present(
          await work({ ...options, json, args: command.args } as never, { ...console, environment }),
          json,
          console,
        );
      } catch (error) {
        code = failure(error, json, console);
      }
    };
  for (const register of commands) register(program, run, home);
  acceptEverywhere(program);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  return code;
}

/** `--json` and `--env-file` may stand before or after the command. */
function acceptEverywhere(command: Command): void {
  for (const sub of command.commands) {
    sub.exitOverride();
    if (sub.commands.length === 0)
      sub.option('--json', 'print one JSON document').option('--env-file <file>', 'file of variables (default: .env)');
    acceptEverywhere(sub);
  }
}
