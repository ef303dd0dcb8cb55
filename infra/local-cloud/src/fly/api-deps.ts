import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Faults } from '../faults.ts';
import type { Capacity } from './capacity.ts';
import type { Door } from './door.ts';
import type { Images } from './images.ts';
import type { Latency } from './latency.ts';
import type { Leases } from './leases.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Oidc } from './oidc.ts';
import type { State } from './state.ts';
import type { Tokens } from './tokens.ts';

/** What the routes of the Machines API share. */
export interface ApiDeps {
  state: State;
  clock: Clock;
  faults: Faults;
  door: Door;
  lifecycle: Lifecycle;
  leases: Leases;
  images: Images;
  capacity: Capacity;
  latency: () => Latency;
  oidc: Oidc;
  tokens: Tokens;
  orgSlug: string;
  /** Its name in identity tokens, and the settings that only the GraphQL API shows. */
  organisation: () => { name: string; crossNetworkReplay: boolean };
  homeRegion: string;
  newAddress: () => string;
  /** What `GET /_local/machines` shows. */
  snapshot: () => unknown;
}
