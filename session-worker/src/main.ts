import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import { buildApp } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { createDeps } from './deps.ts';
import { residentBytes } from './memory.ts';

/**
 * The process: configuration, listener, signals, exit. The machine has `auto_destroy` and no restart policy,
 * so exiting destroys it: the process exits when the worker's part is over, and never before.
 */
function start(config: Config): void {
  const { log, worker } = createDeps(config);
  const app = buildApp(worker);
  process.on('SIGTERM', () => worker.terminate());
  process.on('SIGINT', () => worker.terminate());
  process.on('unhandledRejection', (error) => {
    log.fatal({ error }, 'unhandled rejection');
    worker.terminate();
  });
  app.on('error', (error) => {
    log.fatal({ error }, 'cannot listen');
    process.exit(1);
  });
  const serve = async (): Promise<number> => {
    const address = app.address();
    const port = typeof address === 'object' && address ? address.port : config.port;
    log.info({ port, elapsed_ms: Math.round(process.uptime() * 1_000), bytes: residentBytes() }, 'listening');
    return worker.run();
  };
  const exit = (code: number): never => {
    log.info({ code: String(code) }, 'exiting');
    process.exit(code);
  };
  app.listen(config.port, config.host, () => {
    serve().then(exit, (error: unknown) => {
      log.fatal({ error }, 'cannot serve');
      exit(1);
    });
  });
}

try {
  start(readConfig(process.env));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(78);
}
