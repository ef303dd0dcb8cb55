import { DatabaseSync } from 'node:sqlite';

/** The database of the platform: one SQLite file. */
export interface Interview {
  id: string;
  candidate: string;
  position: string;
  session_id: string | null;
  join_url: string | null;
  /** The result as JSON. Null until the webhook has reported it. */
  result: string | null;
}

export interface Store {
  add(interview: Pick<Interview, 'id' | 'candidate' | 'position'>): void;
  setSession(id: string, sessionId: string, joinUrl: string): void;
  /** Nothing happens if no interview has this session. */
  setResult(sessionId: string, result: object): void;
  get(id: string): Interview | undefined;
  /** The secret of the webhook for this URL. Greenroom shows it only in the answer that creates the webhook. */
  secretOf(url: string): string | undefined;
  keepSecret(url: string, secret: string): void;
  close(): void;
}

export function openStore(file: string): Store {
  const db = new DatabaseSync(file);
  db.exec(`
    create table if not exists interviews (
      id text primary key, candidate text not null, position text not null,
      session_id text unique, join_url text, result text
    );
    create table if not exists webhooks (url text primary key, secret text not null);
  `);
  const add = db.prepare('insert into interviews (id, candidate, position) values (?, ?, ?)');
  const setSession = db.prepare('update interviews set session_id = ?, join_url = ? where id = ?');
  const setResult = db.prepare('update interviews set result = ? where session_id = ?');
  const get = db.prepare('select * from interviews where id = ?');
  const secretOf = db.prepare('select secret from webhooks where url = ?');
  const keepSecret = db.prepare('insert into webhooks (url, secret) values (?, ?)');
  return {
    add: ({ id, candidate, position }) => void add.run(id, candidate, position),
    setSession: (id, sessionId, joinUrl) => void setSession.run(sessionId, joinUrl, id),
    setResult: (sessionId, result) => void setResult.run(JSON.stringify(result), sessionId),
    get: (id) => get.get(id) as unknown as Interview | undefined,
    secretOf: (url) => secretOf.get(url)?.secret as string | undefined,
    keepSecret: (url, secret) => void keepSecret.run(url, secret),
    close: () => db.close(),
  };
}
