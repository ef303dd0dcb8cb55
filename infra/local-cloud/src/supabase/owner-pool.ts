import pg from 'pg';

/**
 * A pool of connections to a Postgres that may stop before the pool's sockets are closed: `end` resolves when the
 * goodbyes are sent, not when the server has read them. The server then answers that it cuts the connection, and a
 * connection without a listener for errors would end the process. A connection in use rejects its query anyway.
 */
export function ownerPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString, max });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
