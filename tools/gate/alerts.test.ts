import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { root } from './command.ts';

/** The alerts of infra/prometheus: each is tested, names metrics that exist, and has a runbook. */
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const rules = read('infra/prometheus/rules/greenroom.yml');
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);
const runbooks = readdirSync(path.join(root, 'docs/runbooks'));
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const promtool = (...args: string[]): string =>
  execFileSync('promtool', args, { cwd: path.join(root, 'infra/prometheus'), encoding: 'utf8' });

test.skipIf(!hasPromtool)(
  'promtool accepts the rules, and their tests pass (skipped where promtool is missing)',
  () => {
    expect(promtool('check', 'rules', 'rules/greenroom.yml')).toContain('SUCCESS');
    expect(promtool('test', 'rules', 'tests/greenroom.yml')).toContain('SUCCESS');
  },
);

test('every alert has a test in which it fires and one in which it is silent', () => {
  const named = [...read('infra/prometheus/tests/greenroom.yml').matchAll(/- name: (.*)/g)].map(([, name]) => name);
  expect(named).toEqual(alerts.flatMap((alert) => [`${alert} fires`, `${alert} is silent`]));
});

test('every alert has a runbook with symptom, check, act and undo, and every runbook an alert', () => {
  expect(runbooks.toSorted()).toEqual(alerts.map((alert) => `${alert}.md`).toSorted());
  for (const file of runbooks) {
    const headings = [...read(`docs/runbooks/${file}`).matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect([file, ...headings]).toEqual([file, 'Symptom', 'Check', 'Act', 'Undo']);
  }
  for (const [, link] of rules.matchAll(/runbook: (.*)/g))
    expect(existsSync(path.join(root, link as string))).toBe(true);
});

test('rules, runbooks and objectives name only metrics that are exported', () => {
  const known = new Set([...read('docs/metrics.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name));
  const texts = [rules, read('docs/slo.md'), ...runbooks.map((file) => read(`docs/runbooks/${file}`))];
  for (const [name] of texts.join('\n').matchAll(/\bgreenroom_\w+/g))
    expect([name, known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, ''))]).toEqual([name, true]);
});
