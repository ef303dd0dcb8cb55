import path from 'node:path';
import { createGreenroom, type Greenroom } from '@greenroom/server';
import { build } from 'esbuild';
import { createPlatform } from './server.ts';
import { openStore, type Store } from './store.ts';

async function buildPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path.join(import.meta.dirname, 'page.tsx')],
    ...{ bundle: true, write: false, format: 'esm', target: 'es2022', jsx: 'automatic', minify: true },
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return outputFiles[0]?.text ?? '';
}

/** Creates the webhook for this URL once, and stores its secret: Greenroom shows the secret only in that answer. */
async function subscribe(greenroom: Greenroom, store: Store, url: string): Promise<string> {
  const known = store.secretOf(url);
  if (known !== undefined) return known;
  const { secret } = await greenroom.createWebhook({ url, events: ['result.done', 'result.empty', 'result.dead'] });
  store.keepSecret(url, secret);
  return secret;
}

const { GREENROOM_URL, GREENROOM_API_KEY, PORT = '3000', DATABASE = 'platform.db' } = process.env;
if (!GREENROOM_URL || !GREENROOM_API_KEY) throw new Error('Set GREENROOM_URL and GREENROOM_API_KEY.');
const publicUrl = process.env.PUBLIC_URL ?? `http://127.0.0.1:${PORT}`;

const greenroom = createGreenroom({ url: GREENROOM_URL, apiKey: GREENROOM_API_KEY });
const store = openStore(DATABASE);
const [script, webhookSecret] = await Promise.all([buildPage(), subscribe(greenroom, store, `${publicUrl}/webhooks`)]);
const server = createPlatform({ greenroom, store, webhookSecret, script });
server.listen(Number(PORT), '127.0.0.1', () => console.log(`open ${publicUrl}`));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    server.close(() => store.close());
    server.closeAllConnections();
  });
