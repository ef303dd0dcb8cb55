/** Writes a run's figures into `docs/capacity.md`, between two markers. */
export interface PolicyFigures {
  all: { sessions: number; ready_p50_s?: number; ready_p99_s?: number; worst_s?: number };
  paths: Record<string, { sessions: number; ready_p50_s?: number; ready_p99_s?: number }>;
  over_5_s: number;
  standby_machines_mean: number;
  standby_cost_usd: number;
  hot_machines_mean: number;
  hot_cost_usd: number;
}

const [begin, end] = ['<!-- figures: npm run sim -- --plot -->', '<!-- /figures -->'];
const titles: Record<string, string> = {
  ...{ pool: 'pool and prewarm', hot: 'with hot machines', 'on-demand': 'on demand', fixed: 'fixed pool' },
};

const pair = ({ sessions, ready_p50_s: p50, ready_p99_s: p99 }: PolicyFigures['all']): string =>
  sessions === 0 ? '–' : `${p50} / ${p99}`;

const rowOf = ([name, figures]: [string, PolicyFigures]): string => {
  const { all, paths, over_5_s, standby_machines_mean: standby, standby_cost_usd: usd } = figures;
  const { hot_machines_mean: hot, hot_cost_usd: hotUsd } = figures;
  const ready = [all, ...['hot', 'standby', 'scheduled', 'cold'].map((path) => paths[path] ?? { sessions: 0 })].map(
    pair,
  );
  return `| ${[titles[name] ?? name, ...ready, all.worst_s, `${(over_5_s * 100).toFixed(2)} %`, standby, usd, hot, hotUsd].join(' | ')} |`;
};

/** Returns the page with these figures in place of the old ones. Throws if the markers are missing. */
export function withFigures(page: string, policies: Record<string, PolicyFigures>): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/capacity.md has no place for figures: ${begin} … ${end}`);
  const table = [
    '| ready, s: p50 / p99 | all | hot | from standby | by appointment | created | worst | over 5 s | standby, mean | standby, USD | hot, mean | hot, USD |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...Object.entries(policies).map(rowOf),
  ];
  return `${page.slice(0, from)}${begin}\n${table.join('\n')}\n${page.slice(to)}`;
}
