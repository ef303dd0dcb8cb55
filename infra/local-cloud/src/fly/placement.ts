/**
 * Making the record of a new machine: which region, which name, which image; or the refusal.
 *
 * P1  From the check of the name to the record nothing waits, so two creates of one name cannot both pass.
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
  /** Where a create without a region lands first. */
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
  // The words run out before the machines do.
  for (let suffix = 1; app.names.has(name); suffix += 1) name = `${newMachineName()}-${suffix}`;
  return name;
}

/** P1. Throws what the API answers: 400, 409 or a row of the capacity table. */
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
