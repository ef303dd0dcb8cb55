import path from 'node:path';
import { stop } from 'esbuild';
import { bundleFunctions, functionNames } from './bundle.ts';

/** `npm run bundle:functions [-- FOLDER]`: bundles the Edge Functions for deployment; default folder: .greenroom/functions. */
const outdir = path.resolve(process.argv[2] ?? path.resolve(import.meta.dirname, '../../.greenroom/functions'));
await bundleFunctions(outdir);
stop();
process.stdout.write(`Bundled ${functionNames.join(', ')} into ${outdir}
Deploy them: supabase functions deploy --use-api --workdir ${outdir} --remote=<project ref>\n`);
