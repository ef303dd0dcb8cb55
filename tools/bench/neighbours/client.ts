/**
 * The other tenant's client, in a process of its own: the benchmark's process also runs the stand-ins of the outside world, and their
 * work for the attacker would be taken for the product's. `fork` it with a `Quiet` as its argument; it answers each message.
 */
export interface Quiet {
  url: string;
  apiKey: string;
  sessionId: string;
}

export interface Ask {
  requests: number;
  atOnce: number;
}

export interface Asked {
  tookMs: number[];
  /** Statuses other than 200. */
  refused: number[];
}

const { url, apiKey, sessionId } = JSON.parse(process.argv[2] ?? '') as Quiet;

async function ask({ requests, atOnce }: Ask): Promise<Asked> {
  const asked: Asked = { tookMs: [], refused: [] };
  const one = async (): Promise<void> => {
    const startedMs = performance.now();
    const answer = await fetch(`${url}/api/sessions/${sessionId}`, { headers: { authorization: `Bearer ${apiKey}` } });
    await answer.arrayBuffer();
    if (answer.status === 200) asked.tookMs.push(performance.now() - startedMs);
    else asked.refused.push(answer.status);
  };
  const lane = async (): Promise<void> => {
    for (let n = 0; n < requests / atOnce; n += 1) await one();
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return asked;
}

process.on('message', (message) => void ask(message as Ask).then((asked) => process.send?.(asked)));
