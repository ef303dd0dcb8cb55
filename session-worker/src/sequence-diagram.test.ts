import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { functionCall, reply } from '../test/conversation.ts';
import { offerSdp } from '../test/peers.ts';
import { type Served, serveWorker } from '../test/serve.ts';

/** Compares the sequence diagram of the conversation with what a worker does. */
let served: Served;
afterEach(() => served.close());

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 30_000, interval: 5 });

/** An arrow of the diagram, and its request in the journal of the worker's peers. */
const steps: Array<[string, string]> = [
  ['W->>O: POST calls {ordinal n}', 'POST /worker/v1/calls'],
  ['W->>V: POST realtime/calls', 'POST /v1/realtime/calls'],
  ['W->>O: PATCH calls/n {call_id}', 'PATCH /worker/v1/calls'],
  ['W-->>B: sdp_answer', 'browser sdp_answer'],
  ['W->>V: recap when there is one, response.create', 'say response.create'],
  ['W->>D: append_transcript', 'POST /rest/v1/rpc/append_transcript'],
  ['W-->>B: transcript_ack', 'browser transcript_ack'],
  ['W->>V: function_call_output, response.create', 'say conversation.item.create'],
  ['W->>D: worker_report finalizing', 'POST /rest/v1/rpc/worker_report'],
  ['W->>V: hangup', 'POST /v1/realtime/hangup'],
  ['W-->>B: session_ended, close 1000', 'browser session_ended'],
  ['W->>O: finish', 'POST /worker/v1/finish'],
];

/** What takes place while the credential is requested, and while the call's id is stored. */
const beside: Array<[string, string]> = [
  ['W-->>B: session_ready', 'browser session_ready'],
  ['W->>V: sideband, session.update', 'say session.update'],
  ['W->>V: recap when there is one, response.create', 'say response.create'],
];

/** The position of each arrow, searched after the position of the one before it. */
function inOrder(whole: string[], wanted: string[]): number[] {
  let from = 0;
  return wanted.map((one) => {
    const found = whole.findIndex((line, index) => index >= from && line.trim().startsWith(one));
    expect(found, `${one}, after ${whole[from - 1]}, in\n${whole.slice(from).join('\n')}`).toBeGreaterThanOrEqual(0);
    from = found + 1;
    return found;
  });
}

test('docs/lifecycle.md draws the conversation in the order in which it happens', async () => {
  served = await serveWorker();
  const { peers, port, worker } = served;
  await until(() => worker.ready);
  const candidate = await connectCandidate(port, peers);
  candidate.socket.on('message', (data) => void peers.journal.push(`browser ${JSON.parse(String(data)).type}`));
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: offerSdp });
  await candidate.receives('sdp_answer');
  candidate.say({ type: 'call_connected', ordinal: 1 });
  await until(() => peers.journal.includes('say response.create'));
  for (const event of reply('item_1', null, 'Welcome.')) peers.emit(event);
  await candidate.receives('transcript_ack');
  for (const event of functionCall('item_2', 'item_1')) peers.emit(event);
  await until(() => peers.journal.includes('say conversation.item.create'));
  for (const event of reply('item_3', 'item_2', 'Goodbye.')) peers.emit(event);
  await candidate.receives('session_ended');
  expect(await served.exited).toBe(0);

  for (const one of [steps, beside])
    inOrder(
      peers.journal,
      one.map(([, done]) => done),
    );
  const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/lifecycle.md'), 'utf8');
  const diagram = text.slice(text.indexOf('## The conversation')).split('```')[1] ?? '';
  // The diagram also has the hang-up of a replaced call; the one compared here follows the report of the ending.
  for (const one of [steps, beside])
    inOrder(
      diagram.split('\n'),
      one.map(([drawn]) => drawn),
    );
});
