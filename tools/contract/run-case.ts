import type { Outcome } from './rows.ts';
import type { Case, ServiceName } from './suite.ts';

/** Runs one case. @param real whether the real service answers */
export async function runCase(service: ServiceName, { title, row, run }: Case, real: boolean): Promise<Outcome> {
  const wrong = await run().then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { service, title, row, ok: wrong === undefined, detail: wrong ?? '', real };
}
