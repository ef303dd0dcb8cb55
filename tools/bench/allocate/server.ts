import { buildApp } from '@greenroom/orchestrator/app.ts';
import { readConfig } from '@greenroom/orchestrator/config.ts';
import { createDeps } from '@greenroom/orchestrator/deps.ts';
import { callFunction } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';

/**
 * The product's orchestrator with one part removed, so that the rest can be measured.
 *
 * BENCH_MODE=accept      no requests to Fly and no periodic jobs but the request log: only accepting sessions is left
 * BENCH_MODE=one-by-one  the same, with one rpc per session: the baseline without batching
 */
const config = readConfig(process.env);
const deps = await createDeps(config);
deps.api.launcher = { execute: () => undefined };
if (process.env.BENCH_MODE === 'one-by-one') {
  const { database } = deps.connection;
  const create: typeof deps.api.create.sessions.create = async (request) => {
    const results = await callFunction(database, 'create_sessions', { p_requests: [request] }, z.array(z.any()));
    return results[0];
  };
  deps.api.create.sessions = { ...deps.api.create.sessions, create };
}
const app = await buildApp(deps);
process.on('SIGTERM', () => {
  deps.beginStopping();
  void app
    .close()
    .then(deps.closeConnections)
    .then(() => process.exit(0));
});
setInterval(() => void deps.requestLog.flush(), 1_000).unref();
await app.listen({ host: config.host, port: config.port, backlog: 4_096 });
