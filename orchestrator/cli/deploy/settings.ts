import { deadlineVariable, defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { configVariables, readConfig } from '../../src/config.ts';
import { deploymentMark } from '../../src/tenants/onboarding.ts';
import { type Console, needed } from '../console.ts';

/** Variables that only the commands read, in addition to those of an orchestrator. A test compares them with `.env.example`. */
export const cliVariables = [
  'SUPABASE_DB_URL',
  'SUPABASE_DB_CA',
  'SUPABASE_ACCESS_TOKEN',
  'FLY_REGISTRY',
  'GREENROOM_TOKEN',
  'GREENROOM_URL',
];

/** Variables that are set as secrets of the orchestrators' Fly app. All others are set in the machines' configuration. */
const secretVariables = new Set([
  'DB_SIGNING_KEY',
  'JOIN_SIGNING_KEYS',
  'CREDENTIALS_KEY',
  'CREDENTIALS_KEY_PREVIOUS',
  'OPERATOR_TOKENS',
  'FLY_API_TOKEN',
  'OPENAI_API_KEY',
  'API_VIDEO_KEY',
  'API_VIDEO_WEBHOOK_SECRET',
  'OTEL_EXPORTER_OTLP_HEADERS',
]);
/** The Machines API refuses variables whose names begin with FLY_ in a configuration; as secrets they are accepted. */
const isSecret = (name: string): boolean => secretVariables.has(name) || name.startsWith('FLY_');
/** Variables set by the image, by Fly or by fly.orchestrator.toml. */
const ofTheMachine = new Set([
  ...['HOST', 'PORT', 'OPS_HOST', 'OPS_PORT', 'ROOM_DIR', 'DASHBOARD_DIR', 'CRASH_AT', 'WORKER_IMAGE'],
]);

export interface FlySettings {
  apiUrl: string;
  token: string;
  org: string;
  registry: string;
  deploymentId: string;
}

/** Fly settings that every deployment needs. */
export function readFlySettings(console: Console): FlySettings {
  const { environment } = console;
  return {
    apiUrl: environment.FLY_API_URL ?? 'https://api.machines.dev',
    token: needed(console, 'FLY_API_TOKEN', 'an organisation token (fly tokens create org).'),
    org: needed(console, 'FLY_ORG', 'the slug of the organisation (fly orgs list).'),
    registry: environment.FLY_REGISTRY ?? 'registry.fly.io',
    deploymentId: needed(console, 'DEPLOYMENT_ID', 'a name of this deployment, such as production.'),
  };
}

export interface OrchestratorVariables {
  secrets: Record<string, string>;
  env: Record<string, string>;
  publicUrl: string;
  /** Identifies deployment and database: equal for all orchestrators of a deployment, different for any other. */
  mark: string;
}

/**
 * An orchestrator's variables, checked as the orchestrator itself checks them.
 * @throws ConfigError naming every wrong variable
 */
export function readOrchestratorVariables({ environment }: Console, workerImage: string): OrchestratorVariables {
  const config = readConfig({ ...environment, WORKER_IMAGE: workerImage });
  const names = [...configVariables, ...Object.keys(defaultDeadlines).map(deadlineVariable)];
  const set = names.flatMap((name): Array<[string, string]> => {
    const value = environment[name];
    return value === undefined || value === '' || ofTheMachine.has(name) ? [] : [[name, value]];
  });
  return {
    secrets: Object.fromEntries(set.filter(([name]) => isSecret(name))),
    env: { ...Object.fromEntries(set.filter(([name]) => !isSecret(name))), WORKER_IMAGE: workerImage },
    publicUrl: config.publicUrl,
    mark: deploymentMark(config.deploymentId, config.supabase.url),
  };
}
