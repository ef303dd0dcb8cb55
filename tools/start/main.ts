import { parseArgs } from 'node:util';
import { createPlatform } from '../demo/platform.ts';
import { type Stack, startStack } from '../stack/stack.ts';

/** `npm start`: runs the whole product on this machine until Ctrl-C. */
const usage = `npm start -- [--dir FOLDER] [--logs]

Starts the local cloud and an orchestrator, and stays up until Ctrl-C.

  --dir FOLDER  keep database, keys and API key here for the next start (default: a temporary folder,
                removed at the end). Fly's machines and the ports are new at each start
  --logs        print every line of every process
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { dir: { type: 'string' }, logs: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const print = (line: string) => process.stdout.write(`${line}\n`);
  print('Starting the local cloud and an orchestrator …');
  const startedMs = performance.now();
  const stack = await startStack({
    ...(values.dir === undefined ? {} : { dir: values.dir }),
    // A person listens: speak at normal speed.
    voice: { turns: 4, paceMs: 2_500 },
    transcriptUploads: true,
    ...(values.logs ? { log: (part: string, line: string) => print(`[${part}] ${line}`) } : {}),
  });
  try {
    await welcome(stack, Math.round(performance.now() - startedMs), print);
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
async function welcome(stack: Stack, tookMs: number, print: (line: string) => void): Promise<void> {
  const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
  const session = await platform.createSession({
    candidate: { name: 'Ada Lovelace', email: 'ada@example.com' },
    position: { title: 'Backend engineer' },
  });
  print(`
Greenroom is up (${tookMs} ms). Everything outside of it is simulated on this machine.

  API          ${stack.publicUrl}/api        (reference: ${stack.publicUrl}/docs)
  API key      ${stack.tenant.apiKey}
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
