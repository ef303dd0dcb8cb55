import type { FieldError } from '@greenroom/shared/errors/app-error.ts';
import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import { fieldErrors } from '@greenroom/shared/errors/zod-fields.ts';
import { type ClientMessage, clientMessage, clientMessageTypes } from '@greenroom/shared/protocol/socket.ts';

export type ReadMessage =
  | { kind: 'message'; message: ClientMessage }
  | { kind: 'wrong'; code: ErrorCode; detail: string; fields?: FieldError[] };

/** Parses a text frame, or says what is wrong with it. Never repeats what was sent. */
export function readMessage(text: string): ReadMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'wrong', code: 'invalid_json', detail: 'The frame is not JSON.' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { kind: 'wrong', code: 'invalid_message', detail: 'A message is a JSON object with a type.' };
  }
  const { type } = value as { type?: unknown };
  if (typeof type !== 'string' || !(clientMessageTypes as readonly string[]).includes(type)) {
    return { kind: 'wrong', code: 'unknown_message', detail: `The types are ${clientMessageTypes.join(', ')}.` };
  }
  const parsed = clientMessage.safeParse(value);
  if (parsed.success) return { kind: 'message', message: parsed.data };
  const fields = fieldErrors(parsed.error, 'message').slice(0, 20);
  return {
    kind: 'wrong',
    code: 'invalid_message',
    detail: `Invalid: ${fields.map((f) => f.field).join(', ')}.`,
    fields,
  };
}
