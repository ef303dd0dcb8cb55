import { styleText } from 'node:util';

/** Prints rows as a table: each column is as wide as its longest cell, and spaces at the end of a line are removed. */
export interface Column<Row> {
  title: string;
  of(row: Row): unknown;
}

type Style = Parameters<typeof styleText>[0];

/** States that are printed in colour. */
const styles: Record<string, Style> = {
  ...{ failed: 'red', disconnected: 'red', dead: 'red', expired: 'red', unwanted: 'red', down: 'red' },
  ...{ drained: 'yellow', failing: 'yellow', suspended: 'yellow', destroying: 'yellow', pending: 'yellow' },
  ...{ in_progress: 'green', ready: 'green', claimed: 'green', open: 'green', active: 'green', delivered: 'green' },
};

const textOf = (value: unknown): string => {
  if (value === null || value === undefined || value === '') return '–';
  if (typeof value === 'number') return String(Math.round(value * 10_000) / 10_000);
  return String(value);
};

/** @param colour false when the output is piped or NO_COLOR is set */
export function table<Row>(columns: Array<Column<Row>>, rows: Row[], colour: boolean): string[] {
  const cells = rows.map((row) => columns.map(({ of }) => textOf(of(row))));
  const widths = columns.map(({ title }, n) => Math.max(title.length, ...cells.map((line) => line[n]?.length ?? 0)));
  const line = (texts: string[], paint: (text: string, word: string) => string): string =>
    texts
      .map((text, n) => paint(text.padEnd(widths[n] ?? 0), text))
      .join('  ')
      .trimEnd();
  const plain = (text: string): string => text;
  const painted = (text: string, word: string): string => {
    const style = styles[word];
    return colour && style !== undefined ? styleText(style, text, { validateStream: false }) : text;
  };
  const head = line(
    columns.map(({ title }) => title.toUpperCase()),
    plain,
  );
  return [head, ...cells.map((texts) => line(texts, painted))];
}

/** `3.2 s`; a dash if it is not known. */
export const seconds = (ms: unknown): string => (typeof ms === 'number' ? `${(ms / 1_000).toFixed(1)} s` : '–');
/** `2026-11-27 09:00:00`, UTC. */
export const moment = (at: unknown): string =>
  typeof at === 'string' ? new Date(at).toISOString().slice(0, 19).replace('T', ' ') : '–';
export const dollars = (usd: unknown): string => (typeof usd === 'number' ? `$${usd.toFixed(4)}` : '–');
