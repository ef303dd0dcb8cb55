/** One measured figure with its target and its baseline. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** The upper limit, or the lower limit with `atLeast`. Null if the figure has no target. */
  target: number | null;
  /** The same figure of a simpler alternative in the same run. Null if there is none. */
  baseline: number | null;
  /** The target is a lower limit. */
  atLeast?: boolean;
}

/** A benchmark measures and reports progress. It never fails because the machine is slow. */
export type Benchmark = (progress: (line: string) => void, options: BenchmarkOptions) => Promise<Figure[]>;

export interface BenchmarkOptions {
  /** Of a benchmark with many rows: which part of all rows, 0–1. */
  rows: number;
  /** Of a benchmark that watches a steady load: for how long. */
  minutes: number;
}

export function percentile(values: number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
}

export const median = (values: number[]): number => percentile(values, 50);

export const meets = (figure: Figure): boolean =>
  figure.target === null || (figure.atLeast ? figure.value >= figure.target : figure.value <= figure.target);

const show = (value: number | null, unit: string) => (value === null ? '–' : `${Number(value.toPrecision(4))} ${unit}`);

/** The figures as a table for people. */
export function table(figures: Figure[]): string {
  const rows = figures.map((f) => [
    f.name,
    show(f.value, f.unit),
    f.target === null ? '–' : `${f.atLeast ? '≥' : '≤'} ${show(f.target, f.unit)}`,
    show(f.baseline, f.unit),
    f.target === null ? '' : meets(f) ? 'met' : 'missed',
  ]);
  const all = [['figure', 'value', 'target', 'baseline', ''], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
