import { z } from 'zod';
import type { Uploaded } from './transcript.ts';

/** What came back of a call of the SQL function upload_transcript, as supabase-js reports it. */
export interface RpcAnswer {
  data: unknown;
  error: { code?: string } | null;
  status: number;
}

const uploaded = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stored'), item_ids: z.array(z.string()) }),
  z.object({ kind: z.enum(['not_found', 'erased', 'too_many']) }),
]);

/**
 * Only the function's own answer counts: a success of another shape is somebody else's, and the entries are not stored. An entry
 * that the database can never store is refused, so that the browser does not send it for ever.
 */
export function readUpload({ data, error, status }: RpcAnswer): Uploaded {
  if (error) return /^2[23]/.test(error.code ?? '') ? { kind: 'refused' } : { kind: 'unavailable' };
  const parsed = status === 200 ? uploaded.safeParse(data) : undefined;
  return parsed?.success ? parsed.data : { kind: 'unavailable' };
}
