import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type { SeededTenant } from '../stack/seed.ts';
import type { Stack } from '../stack/stack.ts';
import { type IsolationReport, isIsolated, tryIsolation } from './isolation.ts';
import type { DemoOptions } from './options.ts';
import { createPlatform } from './platform.ts';
import { type DemoSummary, runInterview } from './run.ts';
import { createTimeline } from './timeline.ts';

/** Runs interviews of two tenants at the same time. Returns both results and what each could reach of the other. */
export type SideBySideSummary = Omit<DemoSummary, 'processes_left'> & {
  interviews: Array<Omit<DemoSummary, 'processes_left'>>;
  isolation: IsolationReport;
};

/** Resolves with the session once its interview is in progress. */
async function underWay(stack: Stack, tenant: SeededTenant, accepted: Promise<SessionView>) {
  const { session_id } = await accepted;
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const session = await platform.waitFor(session_id, ({ status }) => status === 'in_progress', 60_000);
  return { tenant, session };
}

export async function runSideBySide(
  stack: Stack,
  options: DemoOptions,
  print: (line: string) => void,
): Promise<SideBySideSummary> {
  const tenants = [stack.tenant, await stack.addTenant('second', 'Second tenant')] as const;
  const play = (tenant: SeededTenant) => {
    const { promise: accepted, resolve: onAccepted } = Promise.withResolvers<SessionView>();
    const timeline = createTimeline((line) => print(`${tenant.slug.padEnd(7)}${line}`));
    return { accepted, finished: runInterview(stack, options, timeline, { tenant, onAccepted }) };
  };
  const [first, second] = [play(tenants[0]), play(tenants[1])];
  const isolation = async (): Promise<IsolationReport> => {
    const parties = await Promise.all([
      underWay(stack, tenants[0], first.accepted),
      underWay(stack, tenants[1], second.accepted),
    ]);
    return tryIsolation(stack, parties);
  };
  const [one, two, report] = await Promise.all([first.finished, second.finished, isolation()]);
  print(
    `\nEach one's credentials against the other's everything: ${report.attempts} attempts, ${report.opened} opened.`,
  );
  for (const wrong of report.wrong) print(`  ${wrong}`);
  const ok = one.ok && two.ok && isIsolated(report);
  return { ...one, ok, interviews: [one, two], isolation: report };
}
