import { makeDeploymentKeys } from '../stack/keys.ts';
import { createPlayer, readRecording } from './recording.ts';
import type { Outcome } from './rows.ts';
import { runCase } from './run-case.ts';
import type { ServiceName } from './suite.ts';
import { nowhere, suiteOf } from './targets.ts';

/**
 * Runs the checks of the contract suites against recorded answers. A case that the recording does not have is left out: it needs a
 * socket or a client library, or was added later.
 *
 * The outcomes are not real: what a service answered once proves nothing about today. @returns [] for a folder without recordings
 */
export async function replay(dir: string, services: readonly ServiceName[]): Promise<Outcome[]> {
  const { db } = await makeDeploymentKeys();
  const outcomes: Outcome[] = [];
  for (const service of services) {
    const recording = readRecording(dir, service);
    if (recording === undefined) continue;
    const player = createPlayer(recording);
    const target = suiteOf(service, { ...nowhere, DB_SIGNING_KEY: JSON.stringify(db) }, player.say);
    if ('why' in target) throw new Error(`${service}: ${target.why}`);
    player.use(target.suite.names);
    for (const one of target.suite.cases) {
      if (one.live || !player.has(one.title)) continue;
      player.begin(one.title);
      outcomes.push(await runCase(service, one, false));
    }
  }
  return outcomes;
}
