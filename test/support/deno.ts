import { spawn } from 'node:child_process';
import { denoBinary, denoEnvironment, functionsDir, offlineDeno } from '../../tools/stack/edge-functions.ts';

export interface Ran {
  code: number;
  output: string;
}

/** Runs `deno <command> …` in the functions' folder, without any traffic. */
export function runDeno(command: string, args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = command === 'lint' ? [] : offlineDeno;
    const child = spawn(denoBinary, [command, ...options, ...args], { cwd: functionsDir, env: denoEnvironment() });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk;
      });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
