import { describe, expect, test } from 'vitest';
import { answerSdp, offerSdp } from '../../../test/peers.ts';
import { looksLikeAnswer, offerProblem } from './sdp.ts';

describe('an SDP offer', () => {
  test.each([
    ['with CRLF', offerSdp],
    ['with LF', offerSdp.replaceAll('\r\n', '\n')],
    ['without a last line break', offerSdp.trimEnd()],
  ])('%s is fine', (_what, sdp) => expect(offerProblem(sdp)).toBeUndefined());

  test.each([
    ['empty', ''],
    ['of 10 MB', offerSdp + 'a=x\r\n'.repeat(2_000_000)],
    ['that does not begin with v=0', ` ${offerSdp}`],
    ['with a NUL', offerSdp.replace('s=-', 's=\u0000')],
    ['with a bare CR, which another parser takes for a line', offerSdp.replace('s=-', 's=-\ra=evil')],
    ['with a header injected', `${offerSdp}Host: evil\r\n`],
    ['with a blank line in it', offerSdp.replace('t=0 0', '\r\nt=0 0')],
    ['with C1 controls', offerSdp.replace('s=-', 's=\u0085')],
    ['without audio', offerSdp.replace('m=audio', 'm=video')],
    ['that is JSON', '{"v":0}'],
  ])('%s is refused, and why is told without repeating it', (_what, sdp) => {
    const problem = offerProblem(sdp);
    expect(problem).toBeTypeOf('string');
    expect(problem?.length).toBeLessThan(80);
  });

  test('recognises an SDP answer', () => {
    expect([looksLikeAnswer(answerSdp), looksLikeAnswer('<html>'), looksLikeAnswer('v=0\r\n')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
