import WebSocket from 'ws';

/** A raw candidate socket that can send valid messages and messages that no proper client would send. */
export interface RawSocket {
  /** Messages received so far. */
  messages: Array<Record<string, unknown>>;
  send(message: unknown): void;
  /** Sends text or bytes unchanged. */
  sendRaw(data: string | Buffer): void;
  /** Resolves with the first message of this type, already received or still to come. */
  next(type: string, limitMs?: number): Promise<Record<string, unknown>>;
  /** Code and reason of the close. */
  closed: Promise<{ code: number; reason: string }>;
  close(): void;
}

export interface RawSocketOptions {
  token?: string | undefined;
  /** Give the token in the query instead of as a subprotocol. */
  inQuery?: boolean;
  headers?: Record<string, string>;
}

export function openSocket(url: string, { token, inQuery = false, headers = {} }: RawSocketOptions): RawSocket {
  const protocols = ['greenroom.v1', ...(token !== undefined && !inQuery ? [`greenroom.token.${token}`] : [])];
  const socket = new WebSocket(
    token !== undefined && inQuery ? `${url}?token=${encodeURIComponent(token)}` : url,
    protocols,
    { headers },
  );
  const messages: Array<Record<string, unknown>> = [];
  const waiting = new Set<() => void>();
  const opened = new Promise<void>((resolve) => socket.once('open', () => resolve()));
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)) as Record<string, unknown>);
    for (const wake of waiting) wake();
  });
  socket.on('error', () => undefined);
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  const taken = new Set<Record<string, unknown>>();
  return {
    messages,
    closed,
    send: (message) => void opened.then(() => socket.send(JSON.stringify(message))),
    sendRaw: (data) => void opened.then(() => socket.send(data)),
    close: () => socket.close(),
    next: (type, limitMs = 60_000) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = messages.find((message) => message.type === type && !taken.has(message));
          if (!found) return;
          taken.add(found);
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no ${type} within ${limitMs} ms; got ${messages.map((m) => m.type).join(', ')}`));
        }, limitMs);
        waiting.add(look);
        look();
      }),
  };
}
