import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { boards } from './boards.ts';
import { grafanaJson } from './grafana.ts';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(root, 'infra/grafana');
const queries = boards.flatMap(({ name, panels }) =>
  panels.flatMap((panel) => panel.queries.map(({ expr }) => ({ where: `${name}: ${panel.title}`, expr }))),
);
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

/** The labels of each metric, as docs/metrics.md lists them. */
const documented = new Map(
  [...readFileSync(path.join(root, 'docs/metrics.md'), 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|/gm)].map(
    ([, metric = '', , labels = '']) => [metric, [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label as string)],
  ),
);
/** Labels that Prometheus adds: the bound of a bucket, and where a series was scraped. */
const added = ['le', 'instance', 'job'];

describe('the boards', () => {
  test('the committed files are what `npm run generate:boards` writes', () => {
    expect(readdirSync(folder).toSorted()).toEqual(boards.map(({ name }) => `${name}.json`).toSorted());
    for (const board of boards)
      expect(readFileSync(path.join(folder, `${board.name}.json`), 'utf8')).toBe(grafanaJson(board));
  });

  test.each(queries)('$where: names only metrics that are exported, and their labels', ({ expr }) => {
    const metrics = [...expr.matchAll(/(?<![\w:])((?:greenroom|process|nodejs)_\w+)/g)].map(([, name = '']) =>
      documented.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ''),
    );
    expect(metrics.filter((metric) => !documented.has(metric))).toEqual([]);
    const named = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
    const selected = [...expr.matchAll(/[{,]\s*(\w+)\s*=/g)].map(([, label = '']) => label);
    const known = [...metrics.flatMap((metric) => documented.get(metric) ?? []), ...added];
    expect([...named, ...selected].filter((label) => !known.includes(label))).toEqual([]);
  });

  test('every recorded series that a board shows has a rule', () => {
    const rules = readFileSync(path.join(root, 'infra/prometheus/rules/greenroom.yml'), 'utf8');
    for (const [name] of queries.flatMap(({ expr }) => [...expr.matchAll(/greenroom:[\w:]+/g)]))
      expect(rules).toContain(`record: ${name}\n`);
  });

  test.skipIf(!hasPromtool)('promtool can read every query (skipped where promtool is not installed)', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-boards-'));
    const rules = queries.map(({ expr }, index) => ({
      record: `board:query:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    const file = path.join(dir, 'queries.yml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'boards', rules }] }));
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    rmSync(dir, { recursive: true, force: true });
    expect({ status, complaints: status === 0 ? '' : `${stdout}${stderr}` }).toEqual({ status: 0, complaints: '' });
  });

  test('a board that shows a tenant lets one be chosen, and no other board does', () => {
    for (const board of boards)
      expect([board.name, JSON.stringify(board.panels).includes('$tenant')]).toEqual([
        board.name,
        board.tenant === true,
      ]);
  });
});
