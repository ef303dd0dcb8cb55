/**
 * How events reach one sideband. Normally as they come; on cue badly.
 *
 * Cues (special faults at `realtime.sideband`): `silent` (nothing at all), `drop_after_events` (value: how many; then the
 * socket is cut), `duplicate_events` (each twice), `reorder_events` (neighbours swapped), `done_without_previous`
 * (`conversation.item.done` of the interviewer says `previous_item_id: null`, as sometimes recorded live), `garbage`
 * (a frame that is not JSON comes first).
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FaultAction } from '../faults.ts';
import type { WireEvent } from './wire.ts';

export interface Wire {
  write(text: string): void;
  /** Ends the connection without a closing handshake. */
  cut(): void;
}

export type Deliver = (event: WireEvent) => void;

// An event held back for swapping must not wait for a successor that never comes.
const reorderHoldMs = 60;

export function createDelivery(wire: Wire, cue: FaultAction | undefined, clock: Clock): Deliver {
  const plain: Deliver = (event) => wire.write(JSON.stringify(event));
  if (cue?.kind !== 'special') return plain;
  switch (cue.name) {
    case 'silent':
      return () => undefined;
    case 'drop_after_events':
      return dropAfter(Number(cue.value ?? 1), plain, wire);
    case 'duplicate_events':
      return (event) => {
        plain(event);
        plain(event);
      };
    case 'reorder_events':
      return swapNeighbours(plain, clock);
    case 'done_without_previous':
      return (event) => plain(withoutPrevious(event));
    case 'garbage':
      wire.write('this is not JSON');
      return plain;
    default:
      return plain;
  }
}

function dropAfter(count: number, next: Deliver, wire: Wire): Deliver {
  let left = count;
  return (event) => {
    if (left <= 0) return;
    left -= 1;
    next(event);
    if (left === 0) wire.cut();
  };
}

function swapNeighbours(next: Deliver, clock: Clock): Deliver {
  let held: { event: WireEvent; release: { cancel(): void } } | undefined;
  return (event) => {
    if (held) {
      held.release.cancel();
      next(event);
      next(held.event);
      held = undefined;
      return;
    }
    const release = clock.setTimer(() => {
      held = undefined;
      next(event);
    }, reorderHoldMs);
    held = { event, release };
  };
}

const withoutPrevious = (event: WireEvent): WireEvent => {
  const role = (event.item as { role?: string } | undefined)?.role;
  const hit = event.type === 'conversation.item.done' && role === 'assistant';
  return hit ? { ...event, previous_item_id: null } : event;
};
