import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildDashboard } from './build.ts';

const firstViewBytes = 150_000;
const viewBytes = 30_000;

let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'greenroom-dashboard-'));
  await buildDashboard(dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const assets = () => path.join(dir, 'assets');
/** The script of a view, without the parts that it shares with others. */
const isView = (name: string): boolean => /^(?!index|parts|list|style)[a-z-]+-\w{8}\.js$/.test(name);
const transferred = (names: string[]): number =>
  names.reduce((sum, name) => sum + statSync(path.join(assets(), `${name}.gz`)).size, 0);

test('the overview is at most 150 kB compressed with all shared files, and each other view at most 30 kB', () => {
  const names = readdirSync(assets()).filter((name) => /\.(?:js|css)$/.test(name));
  const views = names.filter(isView);
  const shared = names.filter((name) => !isView(name));
  const overview = views.filter((name) => name.startsWith('overview'));
  expect(transferred([...shared, ...overview])).toBeLessThan(firstViewBytes);
  expect(views.filter((name) => transferred([name]) > viewBytes)).toEqual([]);
  expect(views.length).toBeGreaterThanOrEqual(12);
});

test('the bundle contains no code of the orchestrator or for development, and no inline script or style', () => {
  const scripts = readdirSync(assets()).filter((name) => name.endsWith('.js'));
  for (const name of scripts) expect(readFileSync(path.join(assets(), name), 'utf8')).not.toMatch(/ZodError|jsxDEV/);
  const html = readFileSync(path.join(dir, 'index.html'), 'utf8');
  expect(html).not.toMatch(/<style|style=|<script(?![^>]* src=)/);
});
