import { spawnSync } from 'node:child_process';

/** The programs of the monitoring that `npm run alerts` starts, and Debian's package of each. */
const packageOf = {
  promtool: 'prometheus',
  prometheus: 'prometheus',
  vmalert: 'victoria-metrics',
  'victoria-metrics': 'victoria-metrics',
  'prometheus-alertmanager': 'prometheus-alertmanager',
} as const;
export type MonitoringProgram = keyof typeof packageOf;

const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Packages of which a program is not on the PATH. */
export function missingPackages(): string[] {
  const missing = Object.entries(packageOf).filter(([program]) => !isThere(program));
  return [...new Set(missing.map(([, debianPackage]) => debianPackage))];
}
