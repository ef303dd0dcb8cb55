import {
  parseDeadlines,
  readSettings,
  type Settings,
  withoutEndSlashes,
} from '@greenroom/shared/runtime/environment.ts';
import * as z from 'zod';

/**
 * The worker's environment, read once. It contains no secret: the worker proves its identity with the OIDC
 * token of its own machine (SECURITY.md). The deadlines here apply before the claim (mainly `CLAIM_MS`); the
 * claim's answer brings the deadlines of the session.
 */
const settings = {
  /** Address to listen on. */
  host: ['HOST', z.string().default('0.0.0.0')],
  /** TCP port; 0 lets the system choose. */
  port: ['PORT', z.coerce.number().int().min(0).max(65_535).default(8080)],
  /** Base URL of the orchestrator; also the audience of the machine's identity token. */
  orchestratorUrl: ['ORCHESTRATOR_URL', z.url({ protocol: /^https?$/ }).transform((url) => withoutEndSlashes(url))],
  /** The unix socket where Fly gives this machine its identity token. */
  flyApiSocket: ['FLY_API_SOCKET', z.string().default('/.fly/api')],
  logLevel: ['LOG_LEVEL', z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info')],
  /** W3C trace context of the session, if the machine was created for one. */
  traceparent: ['TRACEPARENT', z.string().optional()],
  /** For the log only: the orchestrator decides at the claim which machine this is. */
  machine: {
    fly_machine_id: ['FLY_MACHINE_ID', z.string().optional()],
    app_name: ['FLY_APP_NAME', z.string().optional()],
    region: ['FLY_REGION', z.string().optional()],
    image: ['FLY_IMAGE_REF', z.string().optional()],
  },
} as const satisfies Settings;

export type Config = ReturnType<typeof readConfig>;

/** Throws ConfigError naming every wrong variable. */
export function readConfig(environment: Record<string, string | undefined>) {
  return Object.freeze({ ...readSettings(settings, environment), deadlines: parseDeadlines(environment) });
}
