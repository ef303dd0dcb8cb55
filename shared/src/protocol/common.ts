import * as z from 'zod';
import { type Deadlines, defaultDeadlines } from '../session/deadlines.ts';
import { sessionReasonNames } from '../session/reasons.ts';
import { outcomes } from '../session/states.ts';

/** Text whose length is checked first, so that no pattern or refinement runs over text that is too long. */
export const text = (max: number) => z.string().max(max, { abort: true });

/** UUIDs of any version, in lower case like those of Postgres. */
export const uuid = z.guid().transform((id) => id.toLowerCase());

/** RFC 3339 with a valid offset, from year 1 on: the range that Postgres accepts too. */
export const timestamp = text(40)
  .check(z.iso.datetime({ offset: true }))
  .refine((text) => !text.startsWith('0000') && !/[+-](?:1[6-9]|2\d):\d\d$/.test(text), 'must be a time that exists');

export const outcome = z.enum(outcomes);
export const sessionReason = z.enum(sessionReasonNames);

/** Readable text: whole characters, and no control characters except tab and line breaks. */
export const plainText = (max: number) =>
  text(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are refused
    .regex(/^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$/u, 'must not contain control characters')
    // Postgres refuses half a surrogate pair.
    .refine((text) => text.isWellFormed(), 'must be well-formed text');

export const deadlines = z.object(
  Object.fromEntries(Object.keys(defaultDeadlines).map((name) => [name, z.number().int().positive()])),
) as unknown as z.ZodType<Deadlines>;

/** A JSON Web Key Set with public keys. */
export const jwks = z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string() })) });
export type Jwks = z.output<typeof jwks>;

/** A TURN or STUN server, in the form that `RTCPeerConnection` takes. */
export const iceServer = z.object({
  urls: z.array(text(512)).min(1).max(8),
  username: text(512).optional(),
  credential: text(512).optional(),
});
export type IceServer = z.output<typeof iceServer>;
