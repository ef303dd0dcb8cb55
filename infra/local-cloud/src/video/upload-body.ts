/**
 * Reads an upload: a multipart form with one file under any name (the official client uses the file's name),
 * optionally `videoId`, and which part of the source it is.
 */
import type { Part } from './videos.ts';

export interface Upload {
  fileName: string;
  videoId: string | undefined;
  part: Part;
}

const maxPartBytes = 128 * 1024 * 1024;

/**
 * Returns the upload, or a sentence that says what is wrong with it.
 * @param range the `Content-Range` header: `bytes 0-99/200`, `part 1/3`, `part 1/*`, or nothing for a whole
 * file.
 * @param minPartBytes smallest size of a part other than the last.
 */
export async function readUpload(
  body: Buffer,
  contentType: string,
  range: string | undefined,
  minPartBytes: number,
): Promise<Upload | string> {
  const form = await readForm(body, contentType);
  const file = [...(form?.values() ?? [])].find((value) => typeof value !== 'string');
  if (!form || !file) return 'The file is missing.';
  const place = placeOf(range, file.size);
  if (!place) return 'The Content-Range header is invalid.';
  if (file.size > maxPartBytes) return 'The part is too large.';
  const { last, ...part } = place;
  if (!last && file.size < minPartBytes) return 'The part is too small.';
  const videoId = form.get('videoId');
  return {
    fileName: file.name,
    videoId: typeof videoId === 'string' && videoId !== '' ? videoId : undefined,
    part: { ...part, content: Buffer.from(await file.arrayBuffer()) },
  };
}

async function readForm(body: Buffer, contentType: string): Promise<FormData | undefined> {
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': contentType } }).formData();
  } catch {
    return undefined;
  }
}

type Place = Omit<Part, 'content'> & { last: boolean };

const whole: Place = { key: 'whole', unit: 'parts', total: 1, at: 1, last: true };

function placeOf(range: string | undefined, size: number): Place | undefined {
  if (range === undefined) return whole;
  const byParts = /^part (\d+)\/(\d+|\*)$/.exec(range);
  if (byParts) {
    const number = Number(byParts[1]);
    const total = byParts[2] === '*' ? undefined : Number(byParts[2]);
    if (number < 1 || (total !== undefined && number > total)) return undefined;
    return { key: `part ${number}`, unit: 'parts', total, at: number, last: number === total };
  }
  const [, from, to, total] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []).map(Number);
  if (from === undefined || to === undefined || total === undefined) return undefined;
  if (to >= total || to - from + 1 !== size) return undefined;
  return { key: `bytes ${from}`, unit: 'bytes', total, at: from, last: to === total - 1 };
}
