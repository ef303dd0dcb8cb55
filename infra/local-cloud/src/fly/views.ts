/** Machines and apps as the API shows them. */
import type { App, Machine, MachineEvent } from './state.ts';

const time = (ms: number) => new Date(ms).toISOString();

/** Newest first. */
export const latestEvents = (machine: Machine, limit = 20): MachineEvent[] => machine.events.slice(0, limit);

export function summaryView(machine: Machine) {
  return {
    id: machine.id,
    name: machine.name,
    state: machine.state,
    region: machine.region,
    instance_id: machine.instanceId,
    private_ip: machine.address,
    image_ref: machine.image.ref,
    created_at: time(machine.createdAtMs),
    updated_at: time(machine.updatedAtMs),
    cordoned: machine.cordoned,
  };
}

/** While the host is unreachable there is no `config`, only what is known elsewhere. */
function configView(machine: Machine) {
  if (machine.hostStatus === 'ok') return { config: machine.config };
  const { image, guest, metadata } = machine.config;
  return { incomplete_config: { image, guest, metadata } };
}

function machineView(machine: Machine) {
  return {
    ...summaryView(machine),
    ...configView(machine),
    host_status: machine.hostStatus,
    events: latestEvents(machine, 5),
    checks: machine.checks.map(({ name, status, output, updatedAtMs }) => ({
      name,
      status,
      output,
      updated_at: time(updatedAtMs),
    })),
  };
}

/** The whole machine as JSON text, cached until it changes. */
export function renderMachine(machine: Machine): string {
  machine.rendered ??= JSON.stringify(machineView(machine));
  return machine.rendered;
}

export function orgMachineView(machine: Machine, summary: boolean) {
  const { image, guest, metadata } = machine.config;
  return {
    id: machine.id,
    app_name: machine.app.name,
    name: machine.name,
    state: machine.state,
    region: machine.region,
    version: machine.instanceId,
    instance_id: machine.instanceId,
    private_ip: machine.address,
    created_at: time(machine.createdAtMs),
    updated_at: time(machine.updatedAtMs),
    ...(summary ? {} : { config: { image, guest, metadata } }),
  };
}

export const appView = (app: App, orgSlug: string) => ({
  id: app.id,
  internal_numeric_id: app.numericId,
  name: app.name,
  status: app.live.size > 0 ? 'deployed' : 'pending',
  organization: { name: orgSlug, slug: orgSlug },
  network: app.network,
  machine_count: app.live.size,
  volume_count: 0,
});
