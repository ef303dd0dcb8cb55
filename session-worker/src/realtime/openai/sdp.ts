import { maxSdpLength } from '@greenroom/shared/protocol/socket.ts';

/**
 * What is wrong with an SDP offer, as readable text; undefined when nothing is. Never contains any part of
 * the offer.
 */
export function offerProblem(sdp: string): string | undefined {
  if (sdp.length === 0) return 'it is empty';
  if (sdp.length > maxSdpLength) return `it is longer than ${maxSdpLength} characters`;
  if (!/^v=0\r?\n/.test(sdp)) return 'it does not begin with v=0';
  const lines = sdp.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  // One letter, `=`, printable characters: no line that another parser could read as two lines or as a
  // header.
  if (!lines.every((line) => /^[a-z]=\P{Cc}*$/u.test(line))) return 'it has a line that is not SDP';
  if (!lines.some((line) => line.startsWith('m=audio '))) return 'it has no audio section';
  return undefined;
}

/**
 * Whether the provider's answer looks like SDP. Its content type does not tell: the live service sends
 * text/plain.
 */
export const looksLikeAnswer = (sdp: string): boolean => /^v=0\r?\n/.test(sdp) && /^m=audio /m.test(sdp);
