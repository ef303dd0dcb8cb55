import { Link } from '@tanstack/react-router';
import type { OpsRegion } from './answers.ts';
import { cityOf, plural } from './format.ts';

/**
 * A small map of the world with the regions. The area of a disc is the number of live sessions, a ring means that machines are
 * kept ready, and the red part of the ring is the share of creations that Fly refused in the last hour.
 */

/** Latitude and longitude of Fly's regions. A test compares them with the orchestrator's. */
export const placeOf: Record<string, readonly [lat: number, lon: number]> = {
  ...{ ams: [52.37, 4.9], arn: [59.65, 17.92], bom: [19.1, 72.87], cdg: [48.86, 2.35], dfw: [32.78, -96.8] },
  ...{ ewr: [40.79, -74.06], fra: [50.12, 8.68], gru: [-23.55, -46.65], iad: [39.02, -77.46], jnb: [-26.14, 28.3] },
  ...{ lax: [33.94, -118.41], lhr: [51.52, -0.13], nrt: [35.62, 139.74], ord: [41.89, -87.63], sin: [1.3, 103.8] },
  ...{ sjc: [37.35, -121.9], syd: [-33.87, 151.22], yyz: [43.64, -79.38] },
};

/** Rough outlines of the land, longitude and latitude. */
const land = [
  `-168,66 -156,71 -128,70 -110,73 -95,72 -82,68 -78,62 -94,59 -82,55 -79,52 -70,60 -60,54 -56,50 -66,45 -70,42 -75,36 -81,31
   -80,25 -84,30 -97,28 -97,20 -91,19 -87,21 -88,16 -83,10 -79,9 -85,12 -95,16 -105,20 -113,30 -117,33 -124,40 -124,48 -133,56
   -150,60 -165,55 -158,59 -165,62`,
  '-79,9 -72,12 -61,10 -50,0 -35,-6 -39,-15 -48,-26 -58,-35 -65,-42 -69,-52 -75,-50 -73,-38 -70,-20 -81,-5',
  '-55,60 -42,60 -20,72 -20,80 -60,80 -68,77 -54,70',
  `-9,37 -9,43 -2,44 -4,48 3,51 8,54 11,57 5,59 6,63 15,69 28,71 42,66 60,69 75,73 100,77 113,74 140,73 170,69 180,66 170,60
   162,58 156,52 160,60 142,59 136,54 140,48 128,40 126,35 121,39 121,31 117,24 108,21 109,13 105,9 100,13 103,2 98,9 95,16 88,22
   80,15 77,8 73,18 67,25 57,26 56,24 60,22 52,16 43,13 35,28 35,36 27,37 24,38 19,42 12,45 18,40 16,38 12,43 3,43 -1,37`,
  '-6,36 10,37 11,34 20,31 33,31 43,12 51,12 40,-4 40,-16 35,-24 28,-33 18,-34 12,-17 9,-1 8,4 -8,4 -17,15 -10,29',
  '114,-22 122,-18 131,-12 136,-12 136,-16 142,-11 146,-19 153,-26 150,-37 140,-38 131,-32 116,-35',
  ...['-5,50 1,51 0,53 -3,58 -6,57 -3,54', '130,32 137,34 141,36 141,45 139,40 132,35', '44,-25 47,-25 50,-15 44,-17'],
  ...['109,1 117,6 116,-4 110,-3', '95,5 106,-6 103,-5', '131,-1 150,-10 138,-8', '173,-35 178,-38 168,-46'],
];

const x = (lon: number): number => lon + 180;
const y = (lat: number): number => 80 - lat;
const shape = (text: string): string =>
  text
    .trim()
    .split(/\s+/)
    .map((pair) => pair.split(',').map(Number))
    .map(([lon = 0, lat = 0]) => `${x(lon)},${y(lat)}`)
    .join(' ');
const outlines = land.map(shape);

const smallest = 2;
const largest = 11;

function Disc({ of: r, most }: { of: OpsRegion; most: number }) {
  const place = placeOf[r.region];
  if (!place) return null;
  const [cx, cy] = [x(place[1]), y(place[0])];
  const radius = r.sessions === 0 ? smallest : smallest + (largest - smallest) * Math.sqrt(r.sessions / most);
  const refused = r.tries_hour > 0 ? Math.min(100, (100 * r.failures_hour) / r.tries_hour) : 0;
  const ring = { cx, cy, r: radius + 1.6, pathLength: 100 };
  return (
    <g data-region={r.region}>
      <circle cx={cx} cy={cy} r={radius} className={r.sessions > 0 ? 'busy' : 'idle'} />
      {r.standby + r.hot > 0 && <circle {...ring} className="ready" />}
      {refused > 0 && <circle {...ring} className="refused" strokeDasharray={`${Math.max(8, refused)} 100`} />}
    </g>
  );
}

export function World({ regions }: { regions: OpsRegion[] }) {
  const most = Math.max(1, ...regions.map(({ sessions }) => sessions));
  const busy = regions.filter(({ sessions }) => sessions > 0).toSorted((a, b) => b.sessions - a.sessions);
  return (
    <figure className="world">
      <svg viewBox="8 0 352 140" width="100%" aria-hidden="true">
        <title>Regions</title>
        {outlines.map((points) => (
          <polygon key={points} points={points} />
        ))}
        {regions.map((region) => (
          <Disc key={region.region} of={region} most={most} />
        ))}
      </svg>
      <figcaption>
        {busy.length === 0
          ? 'No live session.'
          : busy
              .slice(0, 6)
              .map(({ region, sessions }) => `${cityOf(region)} ${sessions}`)
              .join(', ')}
        {busy.length > 6 && `, and ${plural(busy.length - 6, 'more region')}`}.{' '}
        <span className="soft">
          Disc: live sessions. Ring: machines kept ready. Red: refused by Fly. <Link to="/regions">As a table</Link>
        </span>
      </figcaption>
    </figure>
  );
}
