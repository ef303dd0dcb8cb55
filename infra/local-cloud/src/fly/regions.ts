/**
 * The platform's regions, and the syntax of region expressions.
 *
 * Codes, gateways and most coordinates come from the public `/platform/regions` output; the rest are city
 * coordinates.
 */
export interface Region {
  code: string;
  name: string;
  latitude: number;
  longitude: number;
  gateway: boolean;
  geoRegion: 'north_america' | 'south_america' | 'europe' | 'asia_pacific' | 'africa';
}

const row = (
  code: string,
  name: string,
  latitude: number,
  longitude: number,
  geoRegion: Region['geoRegion'],
  gateway = true,
): Region => ({ code, name, latitude, longitude, gateway, geoRegion });

export const REGIONS: readonly Region[] = [
  row('ams', 'Amsterdam, Netherlands', 52.374344, 4.895439, 'europe'),
  row('arn', 'Stockholm, Sweden', 59.6512, 17.9178, 'europe'),
  row('bom', 'Mumbai, India', 19.097403, 72.874245, 'asia_pacific'),
  row('cdg', 'Paris, France', 48.86, 2.35, 'europe'),
  row('dfw', 'Dallas, Texas (US)', 32.78, -96.8, 'north_america'),
  row('ewr', 'Secaucus, NJ (US)', 40.79, -74.06, 'north_america'),
  row('fra', 'Frankfurt, Germany', 50.12, 8.68, 'europe'),
  row('gru', 'Sao Paulo, Brazil', -23.549664, -46.65435, 'south_america', false),
  row('iad', 'Ashburn, Virginia (US)', 39.02214, -77.462555, 'north_america'),
  row('jnb', 'Johannesburg, South Africa', -26.14, 28.3, 'africa', false),
  row('lax', 'Los Angeles, California (US)', 33.9416, -118.4085, 'north_america'),
  row('lhr', 'London, United Kingdom', 51.516434, -0.125656, 'europe'),
  row('nrt', 'Tokyo, Japan', 35.62161, 139.74185, 'asia_pacific'),
  row('ord', 'Chicago, Illinois (US)', 41.89, -87.63, 'north_america'),
  row('sin', 'Singapore, Singapore', 1.3, 103.8, 'asia_pacific'),
  row('sjc', 'San Jose, California (US)', 37.35, -121.9, 'north_america'),
  row('syd', 'Sydney, Australia', -33.87, 151.22, 'asia_pacific'),
  row('yyz', 'Toronto, Canada', 43.64, -79.38, 'north_america'),
];

const byCode = new Map(REGIONS.map((region) => [region.code, region]));
const codes = (test: (region: Region) => boolean) => REGIONS.filter(test).map((region) => region.code);

const ALIASES: Readonly<Record<string, string[]>> = {
  us: codes((r) => r.geoRegion === 'north_america' && r.code !== 'yyz'),
  usa: codes((r) => r.geoRegion === 'north_america' && r.code !== 'yyz'),
  na: codes((r) => r.geoRegion === 'north_america'),
  sa: codes((r) => r.geoRegion === 'south_america'),
  eu: codes((r) => r.geoRegion === 'europe'),
  apac: codes((r) => r.geoRegion === 'asia_pacific'),
};

export const isRegion = (code: string): boolean => byCode.has(code);

const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** A measure of great-circle distance that is good for ordering only. */
function distance(a: Region, b: Region): number {
  const dLat = Math.sin(radians(b.latitude - a.latitude) / 2);
  const dLon = Math.sin(radians(b.longitude - a.longitude) / 2);
  return dLat * dLat + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * dLon * dLon;
}

/** All region codes, nearest to `from` first. */
export function nearestFirst(from: string): string[] {
  const origin = byCode.get(from);
  if (!origin) return REGIONS.map((region) => region.code);
  return [...REGIONS].sort((a, b) => distance(origin, a) - distance(origin, b)).map((region) => region.code);
}

/**
 * Parses an expression such as `lhr`, `"lhr,eu"` or `"fra,any"` into the ordered regions to try.
 * @returns undefined when a term is neither a region, an alias nor `any`.
 */
export function expandRegions(expression: string, callerRegion: string): string[] | undefined {
  const order = new Set<string>();
  for (const term of expression.split(',').map((part) => part.trim())) {
    const found = term === 'any' ? nearestFirst(callerRegion) : isRegion(term) ? [term] : ALIASES[term];
    if (!found) return undefined;
    for (const code of found) order.add(code);
  }
  return [...order];
}

/** The rows of `GET /v1/platform/regions`. */
export const regionRows = () =>
  REGIONS.map((region) => ({
    code: region.code,
    name: region.name,
    latitude: region.latitude,
    longitude: region.longitude,
    gateway_available: region.gateway,
    requires_paid_plan: false,
    deprecated: false,
    geo_region: region.geoRegion,
  }));
