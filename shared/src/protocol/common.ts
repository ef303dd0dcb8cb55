import * as z from 'zod';
import { type Deadlines, defaultDeadlines } from '../session/deadlines.ts';
import { sessionReasonNames } from '../session/reasons.ts';
import { outcomes } from '../session/states.ts';

/** Text whose length is checked first: no pattern and no refinement runs over text that is too long. */
export const text = (max: number) => z.string().max(max, { abort: true });

/** Ids are UUIDs of any version, in lower case as Postgres spells them. */
export const uuid = z.guid().transform((id) => id.toLowerCase());

/** RFC 3339 with an offset that exists, from year 1 on: what Postgres takes too. */
export const timestamp = text(40)
  .check(z.iso.datetime({ offset: true }))
  .refine((text) => !text.startsWith('0000') && !/[+-](?:1[6-9]|2\d):\d\d$/.test(text), 'must be a time that exists');

export const outcome = z.enum(outcomes);
export const sessionReason = z.enum(sessionReasonNames);

/** Text for people: whole characters, no control characters but tab and line breaks. */
export const plainText = (max: number) =>
  text(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    .regex(/^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$/u, 'must not contain control characters')
    // Half a surrogate pair is no character; Postgres refuses it.
    .refine((text) => text.isWellFormed(), 'must be well-formed text');

export const deadlines = z.object(
  Object.fromEntries(Object.keys(defaultDeadlines).map((name) => [name, z.number().int().positive()])),
) as unknown as z.ZodType<Deadlines>;

/** A JSON Web Key Set with public keys. */
export const jwks = z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string() })) });
export type Jwks = z.output<typeof jwks>;
