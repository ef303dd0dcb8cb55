import { setTimeout as sleep } from 'node:timers/promises';
import { createGreenroom, type GreenroomEvent } from '@greenroom/server';
import { newWebhookSecret, signMessage } from '../../src/webhooks/signing.ts';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';

/**
 * `greenroom listen --forward-to URL`: delivers a tenant's events to a URL that the internet cannot reach, such as a backend on
 * a laptop, signed as webhooks are.
 *
 * - Events are delivered one by one, in their order. While the receiver cannot be reached, the event waits, and those after it.
 *   An answer other than 2xx is shown, and the next event follows.
 * - Ctrl-C lets the delivery that has begun end. What is printed then continues after the last event that was delivered, so
 *   that no event is lost. An event may arrive twice, with the same `webhook-id`.
 */
interface Options {
  forwardTo: string;
  events?: string;
  after?: string;
}

/** How long the receiver may take for an answer, as for webhooks. */
const answerMs = 15_000;
const againMs = 1_000;

/** @returns the status; undefined if there is no answer */
async function deliver(url: string, secret: string, { id, ...payload }: GreenroomEvent): Promise<number | undefined> {
  const { headers, body } = signMessage(`event_${id}`, Date.now(), payload, [secret]);
  try {
    const answer = await fetch(url, {
      ...{ method: 'POST', headers, body, redirect: 'manual' },
      signal: AbortSignal.timeout(answerMs),
    });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return undefined;
  }
}

export async function listen(options: Options, console: Console, signal: AbortSignal): Promise<Finished> {
  const url = needed(console, 'PUBLIC_URL', 'the URL of the deployment.');
  const apiKey = needed(console, 'GREENROOM_API_KEY', 'a key of the tenant, with the scope sessions:read.');
  if (!/^https?:\/\/./.test(options.forwardTo))
    throw new CliError('usage', 'no_url', `--forward-to ${options.forwardTo}: it begins with http:// or https://.`);
  if (options.after !== undefined && !/^\d+$/.test(options.after))
    throw new CliError('usage', 'no_event_id', `--after ${options.after}: it is the id of an event, a number.`);
  const secret = console.environment.GREENROOM_WEBHOOK_SECRET ?? newWebhookSecret();
  const wanted = options.events?.split(',');
  const greenroom = createGreenroom({ url, apiKey });
  const { mode, tenant } = await greenroom.getMe({ signal });
  console.progress(`events of ${tenant.slug} (${mode}) go to ${options.forwardTo}, signed with ${secret}`);

  let [delivered, refused] = [0, 0];
  let last = options.after;
  const start = last === undefined ? {} : { after: last };
  for await (const event of greenroom.streamEvents({ ...start, signal })) {
    if (wanted === undefined || wanted.includes(event.type)) {
      const status = await arrive(options.forwardTo, secret, event, console, signal);
      if (status === undefined) break;
      const isTaken = status >= 200 && status < 300;
      if (isTaken) delivered += 1;
      else refused += 1;
      console.progress(`${status} ${event.type} ${event.data.session_id ?? ''} (event ${event.id})`);
    }
    last = event.id;
  }
  return {
    document: { delivered, refused, last_event_id: last ?? null },
    lines: [
      `${delivered} delivered, ${refused} refused.`,
      ...(last === undefined ? [] : [`Continue with: --after ${last}`]),
    ],
  };
}

/** Delivers until there is an answer. Undefined if the command was interrupted before. */
async function arrive(
  url: string,
  secret: string,
  event: GreenroomEvent,
  { progress }: Console,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (let isFirst = true; ; isFirst = false) {
    const status = await deliver(url, secret, event);
    if (status !== undefined || signal.aborted) return status;
    if (isFirst) progress(`${url} does not answer; ${event.type} and later events wait`);
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return undefined;
  }
}

export const listenCommand: Register = (program, run) => {
  program
    .command('listen')
    .description("Deliver a tenant's events to a URL of this computer, signed as webhooks are, until Ctrl-C.")
    .requiredOption('--forward-to <url>', 'where to, for example http://localhost:3000/webhooks')
    .option('--events <types>', 'only these types, with commas between them (default: all)')
    .option('--after <id>', 'begin after this event; 0: with the first one (default: from now on)')
    .action(
      run(async (options: Options, console) => {
        const stopping = new AbortController();
        const stop = () => stopping.abort();
        for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stop);
        return listen(options, console, stopping.signal);
      }),
    );
};
