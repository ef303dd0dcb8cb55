import { parseDeadlines, parseEnvironment, withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import * as z from 'zod';

/**
 * Environment → Config. No secret is in it: who this machine is, it proves by the token of its own VM (SECURITY.md).
 * The deadlines are those before the claim (`CLAIM_MS` above all); the claim brings the session's own.
 */
const schema = z.object({
  /** Address to listen on. */
  HOST: z.string().default('0.0.0.0'),
  /** TCP port; 0 lets the system choose. */
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** Base URL of the orchestrator; also the audience of the machine's identity token. */
  ORCHESTRATOR_URL: z.url({ protocol: /^https?$/ }).transform((url) => withoutEndSlashes(url)),
  /** The unix socket where Fly gives this machine its identity token. */
  FLY_API_SOCKET: z.string().default('/.fly/api'),
  /** fatal, error, warn, info, debug, trace or silent. */
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  FLY_MACHINE_ID: z.string().optional(),
  FLY_APP_NAME: z.string().optional(),
  FLY_REGION: z.string().optional(),
  FLY_IMAGE_REF: z.string().optional(),
});

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly orchestratorUrl: string;
  readonly flyApiSocket: string;
  readonly logLevel: string;
  /** For the log only; the claim decides who this machine is. */
  readonly machine: {
    readonly fly_machine_id?: string;
    readonly app_name?: string;
    readonly region?: string;
    readonly image?: string;
  };
  readonly deadlines: Deadlines;
}

/** Throws ConfigError naming every wrong variable. */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const set = parseEnvironment(schema, environment);
  const machine = {
    ...(set.FLY_MACHINE_ID ? { fly_machine_id: set.FLY_MACHINE_ID } : {}),
    ...(set.FLY_APP_NAME ? { app_name: set.FLY_APP_NAME } : {}),
    ...(set.FLY_REGION ? { region: set.FLY_REGION } : {}),
    ...(set.FLY_IMAGE_REF ? { image: set.FLY_IMAGE_REF } : {}),
  };
  return Object.freeze({
    host: set.HOST,
    port: set.PORT,
    orchestratorUrl: set.ORCHESTRATOR_URL,
    flyApiSocket: set.FLY_API_SOCKET,
    logLevel: set.LOG_LEVEL,
    machine: Object.freeze(machine),
    deadlines: parseDeadlines(environment),
  });
}
