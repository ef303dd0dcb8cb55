import net from 'node:net';
import os from 'node:os';

/**
 * What one tenant and strangers do at once to make the others pay. It runs in a process of its own, so that its work is not
 * taken for the product's: `fork` it with an `Attack` as its argument; it begins with the message `on` and rests with `off`.
 * Its priority is low, because an attacker's requests are made by computers elsewhere, not by the processors measured here.
 */
export interface Attack {
  url: string;
  /** Of the attacking tenant, with `sessions:read`. */
  apiKey: string;
  /** Of a session of that tenant, with a long transcript. */
  sessionId: string;
}

/** Requests under way at once of each kind. */
const lists = 50;
const transcripts = 10;
const strangers = 10;
const streams = 400;

os.setPriority(10);
const attack = JSON.parse(process.argv[2] ?? '') as Attack;
const headers = { authorization: `Bearer ${attack.apiKey}`, 'fly-client-ip': '198.51.100.1' };
const counts: Record<string, number> = {};
let on = false;

const count = (what: string): void => {
  counts[what] = (counts[what] ?? 0) + 1;
};
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A client that is told to slow down hardly does. */
async function repeat(name: string, send: () => Promise<Response>): Promise<void> {
  for (;;) {
    if (!on) {
      await pause(20);
      continue;
    }
    const status = await send().then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.status;
      },
      () => 0,
    );
    count(`${name} ${status}`);
    if (status !== 200) await pause(20);
  }
}

const list = () => fetch(`${attack.url}/api/sessions?limit=100`, { headers });
const transcript = () => fetch(`${attack.url}/api/sessions/${attack.sessionId}/transcript`, { headers });
const stranger = () =>
  fetch(`${attack.url}/api/tenants/${crypto.randomUUID()}`, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer gr_live_${crypto.randomUUID()}`,
      'content-type': 'application/json',
      'fly-client-ip': `2001:db8:${Math.floor(Math.random() * 65_536).toString(16)}::1`,
    },
    body: JSON.stringify({ interviewer_template: `{{${' '.repeat(200_000)}` }),
  });

const held = new Set<net.Socket>();
function openStream(): void {
  const { hostname, port } = new URL(attack.url);
  const socket = net.connect({ host: hostname, port: Number(port) });
  held.add(socket);
  socket.on('error', () => undefined);
  socket.on('close', () => void held.delete(socket));
  socket.on('data', (bytes) => {
    if (bytes.toString('latin1', 0, 7) === 'HTTP/1.') count(`stream ${bytes.toString('latin1', 9, 12)}`);
  });
  socket.write(
    `GET /api/sessions/${attack.sessionId}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${attack.apiKey}\r\n\r\n`,
  );
}

process.on('message', (message) => {
  on = message === 'on';
  if (on) for (let n = 0; n < streams; n += 1) openStream();
  else for (const socket of held) socket.destroy();
  process.send?.(counts);
});
for (const [name, send, times] of [
  ['list', list, lists],
  ['transcript', transcript, transcripts],
  ['stranger', stranger, strangers],
] as const)
  for (let n = 0; n < times; n += 1) void repeat(name, send);
