import { z } from 'zod';
import type { Uploaded } from './transcript.ts';

/** The result of calling the SQL function upload_transcript, as supabase-js returns it. */
export interface RpcAnswer {
  data: unknown;
  error: { code?: string } | null;
  status: number;
}

const uploaded = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stored'), item_ids: z.array(z.string()) }),
  z.object({ kind: z.enum(['not_found', 'erased', 'withdrawn', 'too_many']) }),
]);

/**
 * Reads the result. A success of another shape did not come from the function (but from a proxy, for example),
 * so the entries are not stored and the result is `unavailable`. If the database can never store an entry, the
 * result is `refused`, so that the browser does not send it again and again.
 */
export function readUpload({ data, error, status }: RpcAnswer): Uploaded {
  if (error) return /^2[23]/.test(error.code ?? '') ? { kind: 'refused' } : { kind: 'unavailable' };
  const parsed = status === 200 ? uploaded.safeParse(data) : undefined;
  return parsed?.success ? parsed.data : { kind: 'unavailable' };
}
