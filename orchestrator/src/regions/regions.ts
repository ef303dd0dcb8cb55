/**
 * Fly's regions and their locations (fly.io/docs/reference/regions), and the replacements of removed codes. An edge may still send
 * a removed code; it tells where the candidate is.
 */
export const regionCoordinates = {
  ams: [52.37, 4.9],
  arn: [59.65, 17.92],
  bom: [19.1, 72.87],
  cdg: [48.86, 2.35],
  dfw: [32.78, -96.8],
  ewr: [40.79, -74.06],
  fra: [50.12, 8.68],
  gru: [-23.55, -46.65],
  iad: [39.02, -77.46],
  jnb: [-26.14, 28.3],
  lax: [33.94, -118.41],
  lhr: [51.52, -0.13],
  nrt: [35.62, 139.74],
  ord: [41.89, -87.63],
  sin: [1.3, 103.8],
  sjc: [37.35, -121.9],
  syd: [-33.87, 151.22],
  yyz: [43.64, -79.38],
} as const satisfies Record<string, readonly [number, number]>;

export type Region = keyof typeof regionCoordinates;
export const regions = Object.keys(regionCoordinates) as Region[];
export const isRegion = (code: string): code is Region => Object.hasOwn(regionCoordinates, code);

const removedRegions: Record<string, Region> = {
  ...{ atl: 'dfw', den: 'dfw', mia: 'dfw', gdl: 'dfw', qro: 'dfw', bos: 'ewr', phx: 'lax', sea: 'sjc', yul: 'yyz' },
  ...{ waw: 'ams', mad: 'cdg', otp: 'fra', bog: 'gru', gig: 'gru', scl: 'gru', eze: 'gru', hkg: 'sin' },
};

/** The region of this code, or its replacement if Fly removed it. Undefined for an unknown code. */
export const currentRegion = (code: string): Region | undefined =>
  isRegion(code) ? code : Object.hasOwn(removedRegions, code) ? removedRegions[code] : undefined;

export interface Coordinates {
  /** Degrees, −90 to 90. */
  lat: number;
  /** Degrees, −180 to 180. */
  lon: number;
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const earthRadiusKm = 6_371;

/** Great-circle distance, km. */
export function distanceKm(a: Coordinates, b: Coordinates): number {
  const [latA, latB] = [radians(a.lat), radians(b.lat)];
  const h =
    Math.sin((latB - latA) / 2) ** 2 + Math.cos(latA) * Math.cos(latB) * Math.sin(radians(b.lon - a.lon) / 2) ** 2;
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(h)));
}

export const coordinatesOf = (region: Region): Coordinates => {
  const [lat, lon] = regionCoordinates[region];
  return { lat, lon };
};

/** All regions, nearest to this place first. `handicapKm` adds distance to a region. Default: none. */
export const byDistance = (from: Region | Coordinates, handicapKm: (region: Region) => number = () => 0): Region[] => {
  const place = typeof from === 'string' ? coordinatesOf(from) : from;
  const effective = new Map(
    regions.map((region) => [region, distanceKm(place, coordinatesOf(region)) + handicapKm(region)]),
  );
  return regions.toSorted((a, b) => (effective.get(a) as number) - (effective.get(b) as number));
};
