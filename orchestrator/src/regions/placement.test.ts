import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { countryCoordinates, isCountry } from './countries.ts';
import { createRegionHealth } from './health.ts';
import { nextRegion, orderedRegions, type PlacementRequest, placeSession, type Wish } from './placement.ts';
import { byDistance, coordinatesOf, currentRegion, distanceKm, regions } from './regions.ts';

const none: Wish = { kind: 'none', edgeRegion: undefined };
const edge = (edgeRegion: string): Wish => ({ kind: 'none', edgeRegion });
const wanted = (...codes: string[]): Wish => ({ kind: 'regions', codes });
const place = (wish: Wish, changes: Partial<PlacementRequest> = {}) =>
  placeSession({ wish, defaultRegion: 'iad', allowed: null, ...changes });

describe('placement', () => {
  test.each<[string, Wish, string, string]>([
    ['what the platform asked for', wanted('syd', 'sin'), 'syd', 'requested'],
    ['the region nearest to coordinates', { kind: 'coordinates', at: { lat: 48.1, lon: 11.6 } }, 'fra', 'coordinates'],
    ['the region nearest to a country', { kind: 'country', code: 'NZ' }, 'syd', 'country'],
    ['the edge region of the request', edge('gru'), 'gru', 'edge'],
    ['the default, when nothing is known', none, 'iad', 'default'],
    ['the neighbour of a region that Fly removed', edge('mad'), 'cdg', 'edge'],
    ['the default, for an edge that is none', edge('zzz'), 'iad', 'default'],
  ])('%s', (_name, wish, region, reason) => {
    expect(place(wish)).toMatchObject({ regions: expect.arrayContaining([region]), reason });
    expect(place(wish).regions[0]).toBe(region);
  });

  test('every region is in the order, once, whatever was wished', () => {
    for (const wish of [none, wanted('jnb', 'hkg'), edge('lhr')])
      expect(place(wish).regions.toSorted()).toEqual(regions.toSorted());
  });

  test('a tenant stays within its regions, nearest first', () => {
    expect(place(wanted('syd'), { allowed: ['fra', 'ams'] }).regions).toEqual(['fra', 'ams']);
    expect(place(edge('lhr'), { allowed: ['fra', 'ams'] }).regions).toEqual(['ams', 'fra']);
    expect(place(none, { allowed: ['mad'] }).regions).toEqual(['cdg']);
    expect(place(none, { allowed: ['zzz'] }).regions).toEqual([]);
    expect(orderedRegions(['syd'], ['fra'])).toEqual(['fra']);
  });

  test('the next region is the next wanted one, then the nearest', () => {
    expect(nextRegion(['fra', 'gru'], ['fra'], null)).toBe('gru');
    expect(nextRegion(['fra', 'gru'], ['fra', 'gru'], null)).toBe('ams');
    expect(nextRegion(['fra'], ['fra'], ['fra'])).toBeUndefined();
  });

  test('distance is that of the globe', () => {
    expect(byDistance('sjc').slice(0, 2)).toEqual(['sjc', 'lax']);
    expect(byDistance('nrt').slice(1, 3)).not.toContain('iad');
    expect(distanceKm(coordinatesOf('lhr'), coordinatesOf('iad'))).toBeCloseTo(5_900, -3);
    expect(byDistance({ lat: 0, lon: 179.9 })[0]).toBe(byDistance({ lat: 0, lon: -179.9 })[0]);
  });

  test('no word of an object is a region or a country', () => {
    expect([currentRegion('constructor'), countryCoordinates('toString'), isCountry('XX')]).toEqual([
      undefined,
      undefined,
      false,
    ]);
  });
});

describe('the health of regions', () => {
  test('a region that refused comes last, and says so, until it has had time', async () => {
    const clock = createFakeClock();
    const health = createRegionHealth(clock);
    health.refused('fra');
    expect(place(wanted('fra'), { health })).toMatchObject({ reason: 'health', allClosed: false });
    expect(place(wanted('fra'), { health }).regions.at(-1)).toBe('fra');
    await clock.advance(61_000);
    expect(place(wanted('fra'), { health })).toMatchObject({ reason: 'requested' });
  });

  test('the more refusals, the longer; one success ends it', async () => {
    const clock = createFakeClock();
    const health = createRegionHealth(clock);
    for (let n = 0; n < 4; n += 1) health.refused('gru');
    await clock.advance(100_000);
    expect(health.isClosed('gru')).toBe(true);
    health.served('gru', 250);
    expect(health.isClosed('gru')).toBe(false);
  });

  test('with every allowed region closed, only a standby machine can be hoped for', () => {
    const health = createRegionHealth(createFakeClock());
    health.refused('fra');
    health.refused('ams');
    expect(place(none, { health, allowed: ['fra', 'ams'] })).toMatchObject({ allClosed: true });
    expect(place(none, { health, allowed: ['fra', 'ams', 'cdg'] })).toMatchObject({ allClosed: false });
  });

  test('a slow region counts as farther away, and that fades', async () => {
    const clock = createFakeClock();
    const health = createRegionHealth(clock);
    for (let n = 0; n < 20; n += 1) health.served('fra', 6_000);
    const munich: Wish = { kind: 'coordinates', at: { lat: 48.1, lon: 11.6 } };
    expect(place(munich, { health })).toMatchObject({ reason: 'health' });
    expect(health.snapshot()).toContainEqual({ region: 'fra', closed: false, refusals: 0, createMs: 6_000 });
    await clock.advance(1_800_000);
    expect(place(munich, { health }).regions[0]).toBe('fra');
  });
});
