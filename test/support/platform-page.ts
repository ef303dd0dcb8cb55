import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { build } from 'esbuild';

/** Builds and serves pages as a platform would write them, with the components on any engine. */
const client = path.join(import.meta.dirname, '../../client');
const react18 = path.join(import.meta.dirname, '../react-18/node_modules');

/** What `react` means in each build. */
export const engines: Array<[name: string, alias: Record<string, string>]> = [
  ['React 19', {}],
  [
    'React 18',
    {
      react: path.join(react18, 'react'),
      'react-dom/client': path.join(react18, 'react-dom/client.js'),
      'react/jsx-runtime': path.join(react18, 'react/jsx-runtime.js'),
    },
  ],
  [
    'preact/compat',
    {
      react: 'preact/compat',
      'react-dom/client': 'preact/compat/client',
      'react/jsx-runtime': 'preact/jsx-runtime',
    },
  ],
];

/** A development build of a page's script: only these mount twice in strict mode. */
export async function bundleScript(
  contents: string,
  alias: Record<string, string> = {},
  format: 'iife' | 'esm' = 'iife',
): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, loader: 'tsx', resolveDir: client },
    bundle: true,
    write: false,
    format,
    jsx: 'automatic',
    alias,
    define: { 'process.env.NODE_ENV': '"development"' },
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}

export interface PlatformPage {
  url: string;
  stop(): Promise<void>;
}

/** Serves a page on loopback, at every path. Its module script, if it has one, is bundled first. */
export async function servePage(html: string): Promise<PlatformPage> {
  const [, script] = /<script type="module">([\s\S]*?)<\/script>/.exec(html) ?? [];
  const bundled = script === undefined ? '' : await bundleScript(script, {}, 'esm');
  const page = script === undefined ? html : html.replace(script, () => bundled.replaceAll('</script', '<\\/script'));
  const server = createServer((_request, answer) => {
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html>${page}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
