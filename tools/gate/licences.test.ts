import { expect, test } from 'vitest';
import { forbiddenLicences } from './licences.ts';

test('shipped packages without a licence or with a copyleft licence are reported; development tools are not', () => {
  const packages = {
    '': {},
    'node_modules/good': { license: 'MIT' },
    'node_modules/choice': { license: '(GPL-3.0 OR Apache-2.0)' },
    'node_modules/both': { license: 'MIT AND GPL-3.0' },
    'node_modules/silent': {},
    'node_modules/good/node_modules/bad': { license: 'AGPL-3.0' },
    'node_modules/tool': { license: 'GPL-3.0', dev: true },
    'node_modules/@greenroom/shared': { link: true },
  };
  expect(forbiddenLicences(packages)).toEqual([
    'node_modules/both: MIT AND GPL-3.0',
    'node_modules/silent: package-lock.json names no licence',
    'node_modules/good/node_modules/bad: AGPL-3.0',
  ]);
});
