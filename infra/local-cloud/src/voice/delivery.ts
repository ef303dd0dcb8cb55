/**
 * Sends events to one sideband, unchanged or with a fault.
 *
 * Cues (special faults at `realtime.sideband`): `silent` (sends nothing), `drop_after_events` (value: after
 * how many events the socket is cut), `duplicate_events` (sends each twice), `reorder_events` (swaps
 * neighbours), `done_without_previous` (the interviewer's `conversation.item.done` has
 * `previous_item_id: null`, as sometimes recorded live), `garbage` (first sends a frame that is not JSON).
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

// How long an event is held back for swapping when no other follows.
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
