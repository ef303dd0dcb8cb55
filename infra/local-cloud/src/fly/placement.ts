/**
 * Creates the record of a new machine: region, name and image; or the refusal.
 *
 * There is no await between the check of the name and the record, so two creates with one name cannot both
 * succeed.
 */
import { invalidArgument, nameTaken } from './api-error.ts';
import type { Capacity } from './capacity.ts';
import { newMachineName } from './ids.ts';
import type { Images } from './images.ts';
import { readMachineConfig } from './machine-config.ts';
import { expandRegions } from './regions.ts';
import type { App, Machine, State } from './state.ts';

export interface PlacementDeps {
  state: State;
  images: Images;
  capacity: Capacity;
  newAddress: () => string;
  /** The first region for a create without a region. */
  homeRegion: string;
}

/** @returns the regions of an expression, in order. Throws the API's 400. */
export function readRegions(expression: unknown, homeRegion: string): string[] {
  const text = typeof expression === 'string' && expression !== '' ? expression : `${homeRegion},any`;
  const regions = expandRegions(text, homeRegion);
  if (!regions) throw invalidArgument(`invalid region "${text}"`);
  return regions;
}

function freeName(app: App): string {
  let name = newMachineName();
  // There are fewer combinations of words than machines.
  for (let suffix = 1; app.names.has(name); suffix += 1) name = `${newMachineName()}-${suffix}`;
  return name;
}

/** Throws what the API answers: 400, 409 or one of CAPACITY_ERRORS. */
export function placeMachine(app: App, body: Record<string, unknown>, deps: PlacementDeps): Machine {
  const config = readMachineConfig(body.config);
  const name = typeof body.name === 'string' && body.name !== '' ? body.name : freeName(app);
  const regions = readRegions(body.region, deps.homeRegion);
  const holder = app.names.get(name);
  if (holder) throw nameTaken(holder.id, name);
  const image = deps.images.resolve(config.image);
  const chosen = deps.capacity.choose(regions);
  if ('refused' in chosen) throw chosen.refused;
  return deps.state.addMachine({ app, name, region: chosen.region, config, image, address: deps.newAddress() });
}
