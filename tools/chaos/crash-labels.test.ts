import { expect, test } from 'vitest';
import { findCrashLabels, readCrashLabels, renderCrashLabels } from './crash-labels.ts';

test('the list of crash points is the one that stands in the code (node tools/chaos/crash-labels.ts --write)', () => {
  expect(readCrashLabels()).toBe(renderCrashLabels(findCrashLabels()));
});
