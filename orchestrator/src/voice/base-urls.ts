import type { Config } from '../config.ts';

/**
 * Where a tenant's key may be valid. Orchestrators and workers send requests there, so it is a closed list and not any URL:
 *
 * - the provider's own hosts. OpenAI's projects are bound to a region, and a key is refused at any other region's host (401
 *   `incorrect_hostname`): https://developers.openai.com/api/docs/guides/data-residency. Azure has a host for each resource.
 * - the deployment's own base URL, and those that `PROVIDER_BASE_URLS` names.
 */
const hosts = {
  openai: /^https:\/\/(?:[a-z]{2}\.)?api\.openai\.com\/v1$/,
  azure: /^https:\/\/[a-z0-9][a-z0-9-]{0,62}\.openai\.azure\.com\/openai\/v1$/,
} as const satisfies Record<Config['voice']['provider'], RegExp>;

const examples = {
  openai: 'https://eu.api.openai.com/v1',
  azure: 'https://<resource>.openai.azure.com/openai/v1',
} as const satisfies Record<keyof typeof hosts, string>;

/** What is wrong with a tenant's base URL, as readable text; undefined when nothing is. */
export function baseUrlProblem(
  provider: keyof typeof hosts,
  baseUrl: string,
  voice: Pick<Config['voice'], 'provider' | 'baseUrl' | 'tenantBaseUrls'>,
): string | undefined {
  const ours = [...voice.tenantBaseUrls, ...(provider === voice.provider ? [voice.baseUrl] : [])];
  if (hosts[provider].test(baseUrl) || ours.includes(baseUrl)) return undefined;
  return `must be a base URL of the provider such as ${examples[provider]}`;
}
