import { once } from 'node:events';
import net from 'node:net';
import { nowMs } from './provider-door.ts';

/**
 * A door before Fly's proxy: it notes when the page's messages arrive there and when their answers leave. What lies before and
 * after belongs to the browser: its queues, its network process and its threads. Bytes pass through unchanged.
 */
export interface FrontDoor {
  url: string;
  /** What passed since the last call of `take`; a message that did not pass is missing. */
  take(): Partial<Passed>;
  stop(): Promise<void>;
}

/** Unix ms with fractions, as in the page. */
export interface Passed {
  joinArrived: number;
  joinAnswered: number;
  socketArrived: number;
  socketAnswered: number;
  offerArrived: number;
  answerSent: number;
}

/** `init_session` is shorter, an SDP offer always longer. Frames of a browser are masked, so that only their length tells. */
const offerBytes = 500;

export async function startFrontDoor(target: URL): Promise<FrontDoor> {
  let passed: Partial<Passed> = {};
  const sockets = new Set<net.Socket>();
  const note = (what: keyof Passed) => {
    passed[what] ??= nowMs();
  };
  const server = net.createServer((near) => {
    const far = net.connect(Number(target.port), target.hostname);
    let asked: 'join' | 'socket' | 'other' = 'other';
    near.on('data', (chunk) => {
      if (asked === 'socket') {
        if (chunk.length >= offerBytes) note('offerArrived');
        return;
      }
      const line = chunk.toString('latin1', 0, 80);
      asked = /^POST \/api\/join /.test(line) ? 'join' : /^GET \/ws\//.test(line) ? 'socket' : 'other';
      if (asked === 'join') note('joinArrived');
      if (asked === 'socket') note('socketArrived');
    });
    far.on('data', (chunk) => {
      if (asked === 'join') note('joinAnswered');
      if (asked === 'socket') note('socketAnswered');
      if (asked === 'socket' && chunk.includes('"sdp_answer"')) note('answerSent');
    });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => from.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    take: () => {
      const taken = passed;
      passed = {};
      return taken;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
