import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import { createShutdown, shutdownError } from '@greenroom/shared/runtime/shutdown.ts';
import type { FastifyInstance } from 'fastify';
import { buildApp } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { createDeps, type Deps } from './deps.ts';
import { buildOpsApp } from './ops-app.ts';
import { armCrashPoint } from './runtime/crash-points.ts';

/**
 * The orchestrator process: reads the configuration, creates the components, listens and handles signals.
 *
 * The first SIGTERM or SIGINT starts the shutdown; a second one shortens it. The exit code is 0 if every phase
 * succeeded, 1 if one failed, and 78 if the configuration is wrong.
 */
function configuration(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(78);
  }
}

const shutdownOf = (app: FastifyInstance, deps: Deps) =>
  createShutdown([
    { name: 'stop accepting', limitMs: 1_000, run: deps.beginStopping },
    { name: 'duties', limitMs: 2_000, run: deps.duties.giveBack },
    { name: 'sockets that wait', limitMs: 3_000, run: deps.sockets.close },
    { name: 'hot workers', limitMs: 2_000, run: deps.hotWorkers.stop },
    { name: 'heartbeats', limitMs: 5_000, run: deps.heartbeats.flush },
    { name: 'requests under way', limitMs: 15_000, run: () => app.close() },
    { name: 'request log', limitMs: 2_000, run: deps.requestLog.flush },
    { name: 'events', limitMs: 1_000, run: deps.feed.stop },
    { name: 'regular jobs', limitMs: 10_000, run: deps.ticker.stop },
    { name: 'reconciling', limitMs: 16_000, run: deps.reconciler.idle },
    { name: 'evaluations', limitMs: 5_000, run: deps.finishing.worker.stop },
    { name: 'recordings', limitMs: 10_000, run: () => deps.video?.worker.stop() },
    { name: 'simulations', limitMs: 5_000, run: deps.simulations.stop },
    { name: 'webhooks', limitMs: 5_000, run: deps.webhookSender.stop },
    {
      name: 'intents',
      limitMs: 16_000,
      run: () => Promise.all([deps.provisioner.stop(), deps.planning.starter.stop()]),
    },
    { name: 'endings', limitMs: 16_000, run: deps.endings.stop },
    { name: 'connections', limitMs: 3_000, run: deps.closeConnections },
    { name: 'metrics', limitMs: 1_000, run: deps.metricsListener.close },
    { name: 'traces', limitMs: 3_000, run: () => deps.recorder?.close(2_500) },
  ]);

async function main(): Promise<void> {
  const config = configuration();
  armCrashPoint(config.crashAt);
  const deps = await createDeps(config);
  const { logger } = deps;
  const app = await buildApp(deps);
  const shutdown = shutdownOf(app, deps);

  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    logger.info({ signal }, signals === 1 ? 'shutting down' : 'second signal: shutting down faster');
    if (signals > 1) {
      shutdown.hurry();
      return;
    }
    void shutdown.run().then((reports) => {
      const error = shutdownError(reports);
      if (error) logger.error({ error }, 'shut down with errors');
      else logger.info({ orchestrator_id: deps.orchestratorId }, 'shut down');
      process.exit(error ? 1 : 0);
    });
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);

  await app.listen({ host: config.host, port: config.port, backlog: 4_096 });
  const { ops } = config;
  if (ops.port !== null) {
    const opsApp = await buildOpsApp(deps);
    const port = await deps.metricsListener.listen(ops.host, ops.port, opsApp.routing);
    logger.info({ host: ops.host, port }, 'metrics and operators API listening');
  }
  deps.ticker.start();
  logger.info({ host: config.host, port: config.port, orchestrator_id: deps.orchestratorId }, 'orchestrator listening');
}

await main();
