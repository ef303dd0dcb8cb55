import { randomBytes, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { hashOfToken, operatorRoles } from '../../src/tokens/operator-tokens.ts';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished } from '../console.ts';

/**
 * `greenroom secrets new`: generates the secrets that no service provides, as lines for `.env`.
 *
 * A secret that is set already is rotated: the new join key signs and the old ones still verify; the old key of stored credentials
 * is named as the one to read with.
 */
interface Options {
  args: string[];
  operator: string;
  role: string;
}

async function signingKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'ES256', use: 'sig' };
}

/** The keys of a configured key set; empty if none is configured. */
function joinKeys(text: string | undefined): JWK[] {
  if (text === undefined) return [];
  try {
    return (JSON.parse(text) as { keys: JWK[] }).keys;
  } catch (error) {
    throw new CliError('configuration', 'configuration', 'JOIN_SIGNING_KEYS is wrong: it must be a JWK set.', {
      cause: error,
    });
  }
}

type Environment = Console['environment'];
type Lines = Record<string, string>;

const makers: Record<string, (environment: Environment, operator: string) => Promise<Lines> | Lines> = {
  DB_SIGNING_KEY: async () => ({ DB_SIGNING_KEY: JSON.stringify(await signingKey()) }),
  JOIN_SIGNING_KEYS: async ({ JOIN_SIGNING_KEYS: now }) => ({
    JOIN_SIGNING_KEYS: JSON.stringify({ keys: [await signingKey(), ...joinKeys(now)] }),
  }),
  CREDENTIALS_KEY: ({ CREDENTIALS_KEY: now }) => ({
    CREDENTIALS_KEY: randomBytes(32).toString('base64'),
    ...(now === undefined ? {} : { CREDENTIALS_KEY_PREVIOUS: now }),
  }),
  OPERATOR_TOKENS: ({ OPERATOR_TOKENS: now }, operator) => {
    const token = `gr_op_${randomBytes(32).toString('hex')}`;
    const hash = hashOfToken(token).toString('hex');
    return {
      OPERATOR_TOKENS: [`${operator}:${hash}`, ...(now === undefined ? [] : [now])].join(','),
      GREENROOM_TOKEN: token,
    };
  },
};

export async function newSecrets({ args, operator, role }: Options, { environment }: Console): Promise<Finished> {
  const names = args.length > 0 ? args : Object.keys(makers);
  const unknown = names.find((name) => makers[name] === undefined);
  if (unknown !== undefined)
    throw new CliError(
      'usage',
      'unknown_secret',
      `${unknown} is no secret that is made here. There are: ${Object.keys(makers).join(', ')}`,
    );
  if (!/^[a-z0-9-]{1,40}$/.test(operator))
    throw new CliError('usage', 'operator_name', '--operator must be lowercase letters, digits and dashes.');
  if (!(operatorRoles as readonly string[]).includes(role))
    throw new CliError('usage', 'operator_role', `--role must be one of ${operatorRoles.join(', ')}.`);
  const made: Lines = {};
  for (const name of names) Object.assign(made, await makers[name]?.(environment, `${operator}:${role}`));
  return { document: { variables: made }, lines: Object.entries(made).map(([name, value]) => `${name}='${value}'`) };
}

export const secretsCommand: Register = (program, run) => {
  program
    .command('secrets')
    .description('The secrets that an operator makes.')
    .command('new [names...]')
    .description('Make secrets, as lines for .env (default: all). One that is set is rotated.')
    .option('--operator <name>', 'whose token OPERATOR_TOKENS gets', 'operator')
    .option('--role <role>', 'what the operator may do: viewer, operator or admin', 'admin')
    .action(run((options: Options, console) => newSecrets(options, console)));
};
