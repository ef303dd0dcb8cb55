import { eventData } from '@greenroom/shared/protocol/events.ts';
import type { EventType } from '@greenroom/shared/session/events.ts';

interface StoredEvent {
  type: string;
  data: unknown;
}

/** Events whose data does not match the schema of their type, each with the error. @param rows of session_events */
export const eventsOfAnotherShape = (rows: StoredEvent[]): string[] =>
  rows.flatMap(({ type, data }) => {
    const parsed = eventData[type as EventType].safeParse(data);
    return parsed.success ? [] : [`${type} ${JSON.stringify(data)}: ${parsed.error.message}`];
  });

export const allEvents = 'select type, data from public.session_events order by id';
