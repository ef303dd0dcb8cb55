import { configVariables } from '../../orchestrator/src/config.ts';

/**
 * Which outside services `npm start` uses for real. Each is real by itself: its own variables, in the environment or in `.env`,
 * decide; the others stay simulated.
 */
export interface Service {
  name: 'Supabase' | 'Fly' | 'Voice' | 'api.video';
  real: boolean;
  /** What the orchestrator gets instead of the stand-in's. */
  variables: Record<string, string>;
  /** What to know about it, in words. */
  note: string;
}

interface Known {
  name: Service['name'];
  /** The variable whose presence makes the service real. */
  key: string;
  /** Without these it cannot be used. */
  needs: string[];
  /** Beginnings of the names of everything else that belongs to it. */
  prefixes: string[];
  defaults: Record<string, string>;
  note: string;
}

const known: Known[] = [
  {
    name: 'Supabase',
    key: 'SUPABASE_URL',
    needs: [
      'SUPABASE_PUBLISHABLE_KEY',
      'DB_SIGNING_KEY',
      'JOIN_SIGNING_KEYS',
      'CREDENTIALS_KEY',
      'OPERATOR_TOKENS',
      'GREENROOM_TOKEN',
      'DEPLOYMENT_ID',
    ],
    prefixes: ['SUPABASE_', 'TRANSCRIPT_UPLOAD_URL'],
    defaults: {},
    note: 'migrate it first: npx greenroom migrate',
  },
  {
    name: 'Fly',
    key: 'FLY_API_TOKEN',
    needs: ['FLY_ORG', 'WORKER_IMAGE', 'PUBLIC_URL'],
    prefixes: ['FLY_', 'DEFAULT_REGION', 'MACHINE_'],
    defaults: { FLY_API_URL: 'https://api.machines.dev' },
    note: "machines are made at Fly; PUBLIC_URL must reach this orchestrator through Fly's proxy, or no candidate reaches them",
  },
  {
    name: 'Voice',
    key: 'OPENAI_API_KEY',
    needs: [],
    prefixes: ['OPENAI_', 'VOICE_PROVIDER', 'REALTIME_', 'TRANSCRIPTION_', 'EVALUATION_MODEL', 'ACCEPT_STANDING_KEY'],
    defaults: { OPENAI_BASE_URL: 'https://api.openai.com/v1', VOICE_SIMULATED: 'false' },
    note: 'every interview costs money',
  },
  {
    name: 'api.video',
    key: 'API_VIDEO_KEY',
    needs: [],
    prefixes: ['API_VIDEO_'],
    defaults: { API_VIDEO_URL: 'https://ws.api.video' },
    note: '',
  },
];

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws naming what is missing for a service that is meant to be real. */
export function readServices(environment: Environment): Service[] {
  const complaints: string[] = [];
  const services = known.map(({ name, key, needs, prefixes, defaults, note }): Service => {
    if (!environment[key]) return { name, real: false, variables: {}, note: `set ${key} to use the real one` };
    for (const variable of needs)
      if (!environment[variable]) complaints.push(`  set ${variable}: ${name} is real because ${key} is set`);
    const mine = configVariables.filter(
      (variable) => needs.includes(variable) || prefixes.some((prefix) => variable.startsWith(prefix)),
    );
    const given = mine.flatMap((variable) =>
      environment[variable] ? [[variable, environment[variable]] as const] : [],
    );
    return { name, real: true, variables: { ...defaults, ...Object.fromEntries(given) }, note };
  });
  if (complaints.length > 0)
    throw new Error(`Services that are meant to be real lack settings:\n${complaints.join('\n')}`);
  return services;
}
