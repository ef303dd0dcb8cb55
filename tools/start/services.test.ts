import { expect, test } from 'vitest';
import { readServices } from './services.ts';

const real = (environment: Record<string, string>) =>
  readServices(environment)
    .filter((service) => service.real)
    .map(({ name }) => name);

test('without keys everything is simulated', () => {
  expect(real({ PATH: '/bin', OPENAI_BASE_URL: 'https://api.openai.com/v1' })).toEqual([]);
});

test('each service becomes real by its own key, with its own variables only', () => {
  const environment = { OPENAI_API_KEY: 'sk-1', REALTIME_MODEL: 'other', API_VIDEO_KEY: '', FLY_ORG: 'acme' };
  expect(real(environment)).toEqual(['Voice']);
  const voice = readServices(environment).find(({ name }) => name === 'Voice');
  expect(voice?.variables).toEqual({
    OPENAI_API_KEY: 'sk-1',
    OPENAI_BASE_URL: 'https://api.openai.com/v1',
    REALTIME_MODEL: 'other',
    VOICE_SIMULATED: 'false',
  });
});

test('a service that lacks a setting is refused, and every missing one is named', () => {
  expect(() => readServices({ FLY_API_TOKEN: 'secret', SUPABASE_URL: 'https://x.supabase.co' })).toThrow(
    /set SUPABASE_PUBLISHABLE_KEY: Supabase is real because SUPABASE_URL is set[\s\S]*set WORKER_IMAGE: Fly/,
  );
  expect(() => readServices({ FLY_API_TOKEN: 'secret' })).not.toThrow('secret');
});
