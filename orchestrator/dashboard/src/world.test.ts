import { expect, test } from 'vitest';
import { regionCoordinates } from '../../src/regions/regions.ts';
import { placeOf } from './world.tsx';

test('the map has every region, where the orchestrator places it', () => {
  expect(placeOf).toEqual(regionCoordinates);
});
