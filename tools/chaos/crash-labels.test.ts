import { expect, test } from 'vitest';
import { findCrashLabels, readCrashLabels, renderCrashLabels } from './crash-labels.ts';

test('the generated list of crash points matches the code; to update: node tools/chaos/crash-labels.ts --write', () => {
  expect(readCrashLabels()).toBe(renderCrashLabels(findCrashLabels()));
});
