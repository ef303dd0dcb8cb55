import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import path from 'node:path';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { createGreenroom, type Greenroom, type GreenroomEvent, verifyWebhook } from '@greenroom/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newWebhookSecret } from '../../orchestrator/src/webhooks/signing.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { until } from '../support/session.ts';

/** `greenroom listen`: signed events reach a receiver on this computer. None is lost when the receiver is away or the command is stopped. */
describe('greenroom listen', () => {
  const root = path.resolve(import.meta.dirname, '../..');
  const secret = newWebhookSecret();
  let stack: Stack;
  let greenroom: Greenroom;
  let port: number;
  let receiver: Server | undefined;
  let received: GreenroomEvent[] = [];
  /** What the receiver does with a verified message. */
  let answer: (response: ServerResponse) => void;

  const receive = async () => {
    receiver = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      received.push(await verifyWebhook({ body, headers: request.headers, secret }));
      answer(response);
    }).listen(port, '127.0.0.1');
    await once(receiver, 'listening');
  };
  const stopReceiving = () => {
    receiver?.close();
    receiver?.closeAllConnections();
  };
  const listen = async (...args: string[]) => {
    const main = path.join(root, 'orchestrator/cli/main.ts');
    const to = ['--json', 'listen', '--forward-to', `http://127.0.0.1:${port}/hook`, ...args];
    const process_: ChildProcess = spawn(process.execPath, [main, ...to], {
      cwd: stack.dir,
      env: {
        ...{ PATH: process.env.PATH, PUBLIC_URL: stack.publicUrl, GREENROOM_API_KEY: stack.tenant.apiKey },
        GREENROOM_WEBHOOK_SECRET: secret,
      },
    });
    let [progress, printed] = ['', ''];
    process_.stderr?.on('data', (part) => (progress += part));
    process_.stdout?.on('data', (part) => (printed += part));
    const closed = once(process_, 'close');
    await until('it listens', () => progress.includes('signed with'));
    return {
      progress: () => progress,
      interrupt: () => process_.kill('SIGINT'),
      end: async () => {
        const [code] = await closed;
        return { code, ...(JSON.parse(printed) as { delivered: number; refused: number; last_event_id: string }) };
      },
    };
  };
  const create = async () => {
    const session = await greenroom.createSession({
      ...{ candidate: { name: 'Ada' }, position: { title: 'Cook' }, placement: 'on_join' },
    });
    return session.session_id;
  };
  /** The types of a session's messages. A message that arrived twice has the same id. */
  const arrived = (session: string) =>
    [...new Map(received.map((message) => [message.id, message])).values()]
      .filter(({ data }) => data.session_id === session)
      .map(({ type }) => type);

  beforeAll(async () => {
    stack = await startStack({ flyLimits: false });
    greenroom = createGreenroom({ url: stack.publicUrl, apiKey: stack.tenant.apiKey });
    port = await freePort();
  });
  afterAll(async () => {
    stopReceiving();
    await stack?.stop();
  });

  test('events arrive signed and in order; while the receiver is away they wait; Ctrl-C loses none', async () => {
    answer = (response) => response.end();
    await receive();
    const first = await listen('--after', '0');
    const one = await create();
    await until('the first event has arrived', () => arrived(one).length > 0);

    stopReceiving();
    const two = await create();
    await until('it says that the receiver is away', () => first.progress().includes('does not answer'));
    await receive();
    await until('the event has arrived', () => arrived(two).includes('session.pending'));

    // Ctrl-C while the receiver works on an event: the delivery ends first.
    let held: ServerResponse | undefined;
    answer = (response) => {
      held = response;
    };
    const three = await create();
    await until('the receiver works on an event', () => held);
    first.interrupt();
    answer = (response) => response.end();
    held?.end();
    const ended = await first.end();
    expect(ended).toMatchObject({ code: 0, refused: 0 });
    expect(arrived(three)).toEqual(['session.pending']);

    const four = await create();
    await greenroom.endSession(three);
    const second = await listen('--after', ended.last_event_id);
    await until('later events have arrived', () => arrived(four).length > 0 && arrived(three).length > 1);
    second.interrupt();
    await second.end();
    expect([arrived(one), arrived(two), arrived(three), arrived(four)]).toEqual([
      ['session.pending'],
      ['session.pending'],
      ['session.pending', 'session.cancelled'],
      ['session.pending'],
    ]);
  });

  test('only the types in --events are delivered, and an answer other than 2xx is shown', async () => {
    received = [];
    answer = (response) => response.writeHead(500).end();
    const listening = await listen('--events', 'session.cancelled');
    const id = await create();
    await greenroom.endSession(id);
    await until('the refusal is shown', () => listening.progress().includes(`500 session.cancelled ${id}`));
    listening.interrupt();
    expect(await listening.end()).toMatchObject({ code: 0, delivered: 0, refused: 1 });
    expect(arrived(id)).toEqual(['session.cancelled']);
  });
});
