import { describe, expect, test } from 'vitest';
import { createJoinApi } from './join-api.ts';

const invitation = { session_id: 's', code: 'c', browser: 'b' };
const answering = (body: BodyInit, init: ResponseInit = {}) =>
  createJoinApi('', (async () => new Response(body, init)) as typeof fetch);
const joined = { session_id: 's', websocket_url: 'wss://x', join_token: 't', simulated: false, interview_context: {} };

describe('joining', () => {
  test('an answer of the service is returned', async () => {
    expect(await answering(JSON.stringify(joined)).join(invitation)).toEqual({ kind: 'done', body: joined });
  });

  test.each([
    ['a proxy’s page with 502', '<html>Bad gateway</html>', 502],
    ['a captive portal’s page with 200', '<html>Please sign in</html>', 200],
    ['JSON of another shape with 200', '{"ok":true}', 200],
    ['a gateway’s own JSON with 404', '{"message":"no route"}', 404],
    ['an empty body with 503', '', 503],
  ])('%s counts as no answer, so that the request is tried again', async (_what, body, status) => {
    expect(await answering(body, { status }).join(invitation)).toEqual({ kind: 'away' });
  });

  test('a network error counts as no answer', async () => {
    const api = createJoinApi('', () => Promise.reject(new TypeError('Failed to fetch')));
    expect(await api.join(invitation)).toEqual({ kind: 'away' });
  });

  test.each([
    [410, 'invitation_invalid', false],
    [409, 'not_joinable', true],
    [429, 'rate_limited', true],
    [503, 'database_unavailable', true],
  ])('a refusal of the service is returned with its code: %i %s', async (status, code, passing) => {
    const api = answering(JSON.stringify({ code, request_id: 'r' }), { status, headers: { 'retry-after': '5' } });
    expect(await api.join(invitation)).toEqual({
      kind: 'refused',
      code,
      passing,
      requestId: 'r',
      retryAfterMs: 5_000,
    });
  });
});

describe('consent', () => {
  test('consent does not count as recorded if a page answers 200', async () => {
    expect(await answering('<html></html>').consent(invitation, 'v1')).toEqual({ kind: 'away' });
    expect(await answering('<html></html>').look(invitation)).toEqual({ kind: 'away' });
  });
});
