import path from 'node:path';
import { parseArgs } from 'node:util';
import { environmentWithFile } from '../../orchestrator/cli/console.ts';
import { createPlatform } from '../demo/platform.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { readServices, type Service } from './services.ts';

/** `npm start`: runs the whole product on this machine until Ctrl-C. */
const usage = `npm start -- [--dir FOLDER] [--port N] [--key KEY] [--logs]

Starts the local cloud and an orchestrator, and stays up until Ctrl-C. With SUPABASE_URL, FLY_API_TOKEN, OPENAI_API_KEY or
API_VIDEO_KEY in the environment or in .env, that service is the real one.

  --dir FOLDER  keep database, keys and API key here for the next start (default: a temporary folder,
                removed at the end). Fly's machines are new at each start
  --port N      port of the public address (default: any free one)
  --key KEY     API key of the demo tenant: gr_live_ and 43 letters, digits, - or _ (default: a new one)
  --logs        print every line of every process
`;

const root = path.resolve(import.meta.dirname, '../..');

function readArguments() {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string' },
      port: { type: 'string' },
      key: { type: 'string' },
      logs: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port <= 65_535))
    throw new Error(`--port must be a port such as 8080, not ${values.port}`);
  if (values.key !== undefined && !/^gr_live_[\w-]{43}$/.test(values.key))
    throw new Error('--key must be gr_live_ and 43 letters, digits, dashes or underscores');
  return { ...values, port };
}

async function main(): Promise<number> {
  const { help, dir, port, key, logs } = readArguments();
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const environment = environmentWithFile(process.env, path.join(root, '.env'), false);
  const services = readServices(environment);
  print('Starting the local cloud and an orchestrator …');
  const startedMs = performance.now();
  const token = environment.GREENROOM_TOKEN;
  const stack = await startStack({
    ...(dir === undefined ? {} : { dir }),
    ...(port === undefined ? {} : { publicPort: port }),
    ...(key === undefined ? {} : { apiKey: key }),
    real: {
      variables: Object.assign({}, ...services.map(({ variables }) => variables)),
      ...(services.some(({ name, real }) => real && name === 'Supabase') && token ? { operatorToken: token } : {}),
    },
    // A person listens: speak at normal speed.
    voice: { turns: 4, paceMs: 2_500 },
    dashboard: true,
    transcriptUploads: !services.some(({ name, real }) => real && name === 'Supabase'),
    ...(logs ? { log: (part: string, line: string) => print(`[${part}] ${line}`) } : {}),
  });
  try {
    await welcome(stack, services, Math.round(performance.now() - startedMs), print);
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    });
    print('Stopping …');
    return 0;
  } catch (error) {
    // The reason is in the log of the process that failed.
    for (const line of stack.logLines.filter((l) => /"level":"(error|fatal)"/.test(l)).slice(-5)) print(line);
    throw error;
  } finally {
    await stack.stop();
    print('Stopped. Nothing is left running.');
  }
}

/** Prints how to use it, with a link to an interview that is ready to join. */
async function welcome(
  stack: Stack,
  services: Service[],
  tookMs: number,
  print: (line: string) => void,
): Promise<void> {
  const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
  const session = await platform.createSession({
    candidate: { name: 'Ada Lovelace', email: 'ada@example.com' },
    position: { title: 'Backend engineer' },
  });
  print(`
Greenroom is up (${tookMs} ms).

${services.map(({ name, real, note }) => `  ${name.padEnd(12)} ${real ? 'real     ' : 'simulated'}  ${note}`.trimEnd()).join('\n')}

  API          ${stack.publicUrl}/api        (reference: ${stack.publicUrl}/docs)
  API key      ${stack.tenant.apiKey}   (tenant demo, every scope)
  Dashboard    ${stack.orchestrators[0]?.opsUrl}   (sign in with the operator's token)
  Operator     ${stack.operatorToken}
  Health       ${stack.publicUrl}/readyz

  Join an interview in your browser:
  ${session.join_url}

  Make another:
  curl -s ${stack.publicUrl}/api/sessions \\
    -H 'authorization: Bearer ${stack.tenant.apiKey}' -H 'content-type: application/json' \\
    -d '{"candidate":{"name":"Grace Hopper"},"position":{"title":"Compiler engineer"},"region":"fra"}'

Press Ctrl-C to stop.
`);
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`npm start failed: ${error.message}\n`);
    for (const cause of (error as AggregateError).errors ?? []) process.stderr.write(`  ${(cause as Error).message}\n`);
    process.exit(1);
  },
);
