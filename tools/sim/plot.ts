/** Draws the day as an SVG plot for `docs/`. */
export interface Series {
  name: string;
  colour: string;
  /** One value for each slot of the day. */
  values: number[];
  /** Bars suit values that belong to one instant: a line would suggest values between them. Default: a line. */
  bars?: boolean;
}

export interface Panel {
  title: string;
  unit: string;
  /** The scale is logarithmic from this value on, or linear from 0 if undefined. */
  logFrom?: number;
  series: Series[];
}

const [width, panelHeight, left, right, top] = [960, 230, 64, 16, 34];
const plotHeight = panelHeight - top - 34;

const ticksOf = (max: number, logFrom?: number): number[] => {
  if (logFrom !== undefined) {
    const ticks = [logFrom];
    while ((ticks.at(-1) as number) < max) ticks.push((ticks.at(-1) as number) * 10);
    return ticks;
  }
  const rough = max / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((n) => n * power >= rough) as number) * power;
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, n) => n * step);
};

const xOf = (share: number): number => left + share * (width - left - right);

/** Keeps the labels at both ends of the day inside the picture. */
const hourAnchor = (hour: number): string => (hour === 24 ? 'end' : 'middle');

const drawLine = ({ colour, values }: Series, yOf: (value: number) => number): string => {
  const points = values.map((value, n) => `${xOf((n + 0.5) / values.length).toFixed(1)},${yOf(value).toFixed(1)}`);
  return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(' ')}"/>`;
};

const drawBars = ({ colour, values }: Series, yOf: (value: number) => number): string => {
  const bars = values.map((value, n) => {
    const x = xOf((n + 0.5) / values.length).toFixed(1);
    return value > 0 ? `M${x} ${yOf(0).toFixed(1)}V${yOf(value).toFixed(1)}` : '';
  });
  return `<path fill="none" stroke="${colour}" stroke-width="4" d="${bars.join('')}"/>`;
};

/** Draws the legend from right to left; the last series is rightmost. */
const drawLegend = (series: Series[], y: number): string[] =>
  series.map(({ name, colour }, n) => {
    const x = width - right - (series.length - n) * 130;
    return (
      `<line x1="${x}" x2="${x + 18}" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="3"/>` +
      `<text x="${x + 24}" y="${y}" fill="${colour}">${name}</text>`
    );
  });

const number = (value: number): string =>
  value >= 1_000 ? `${Number((value / 1_000).toPrecision(3))}k` : String(Number(value.toPrecision(3)));

function drawPanel({ title, unit, logFrom, series }: Panel, index: number): string {
  const max = Math.max(...series.flatMap(({ values }) => values), logFrom === undefined ? 1 : logFrom * 10);
  const ticks = ticksOf(max, logFrom);
  const highest = ticks.at(-1) as number;
  const y0 = index * panelHeight + top + plotHeight;
  const yOf = (value: number): number => {
    const share =
      logFrom === undefined
        ? value / highest
        : Math.log(Math.max(value, logFrom) / logFrom) / Math.log(highest / logFrom);
    return y0 - share * plotHeight;
  };
  const grid = ticks.map(
    (tick) =>
      `<line x1="${left}" x2="${width - right}" y1="${yOf(tick).toFixed(1)}" y2="${yOf(tick).toFixed(1)}" stroke="#ddd"/>` +
      `<text x="${left - 6}" y="${(yOf(tick) + 4).toFixed(1)}" text-anchor="end">${number(tick)}</text>`,
  );
  const hours = [0, 3, 6, 9, 12, 15, 18, 21, 24].map(
    (hour) =>
      `<text x="${xOf(hour / 24).toFixed(1)}" y="${y0 + 16}" text-anchor="${hourAnchor(hour)}">${hour}:00</text>`,
  );
  const drawn = series.map((one) => (one.bars ? drawBars : drawLine)(one, yOf));
  return [
    `<text x="${left}" y="${index * panelHeight + 14}" font-weight="bold">${title} (${unit})</text>`,
    ...drawLegend(series, index * panelHeight + 14),
    ...grid,
    ...hours,
    ...drawn,
  ].join('\n');
}

export const plot = (panels: Panel[], caption: string): string => {
  const height = panels.length * panelHeight + 24;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11" fill="#333">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...panels.map(drawPanel),
    `<text x="${left}" y="${height - 8}" fill="#777">${caption}</text>`,
    '</svg>',
    '',
  ].join('\n');
};
