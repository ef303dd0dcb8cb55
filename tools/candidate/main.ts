import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { startCandidate } from '../demo/interview.ts';

/**
 * One synthetic candidate as a process: `greenroom smoke` starts it, because the command itself holds no WebRTC.
 *
 * Reads one JSON document from standard input, joins, answers by voice and once in writing (a provider may not take the synthetic
 * voice for speech), and ends the interview at the latest after `endAfterMs`. Prints one JSON line per step.
 */
const input = z
  .strictObject({ websocketUrl: z.string(), joinToken: z.string(), endAfterMs: z.number().int().positive() })
  .parse(JSON.parse(await text(process.stdin)));

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
let answered = false;
const { client, ended } = startCandidate({
  websocketUrl: input.websocketUrl,
  joinToken: input.joinToken,
  onStep: (step, detail) => {
    print({ step, detail });
    if (step !== 'said' || answered) return;
    answered = true;
    client.say('This is the synthetic candidate of a smoke test.');
  },
});
const over = new AbortController();
sleep(input.endAfterMs, undefined, { signal: over.signal }).then(
  () => client.end(),
  () => undefined,
);
const { outcome, reason } = await ended;
over.abort();
print({ step: 'ended', detail: `${outcome}/${reason}` });
process.exit(0);
