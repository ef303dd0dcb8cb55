import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { classifyAnswer, classifyError, type ProviderError } from './model.ts';

const cases: Array<[string, ProviderError, object]> = [
  ['no answer', { status: undefined }, { kind: 'unavailable' }],
  ['500', { status: 500 }, { kind: 'unavailable' }],
  ['503', { status: 503 }, { kind: 'unavailable' }],
  ['408', { status: 408 }, { kind: 'unavailable' }],
  ['401', { status: 401 }, { kind: 'authFailed' }],
  ['403', { status: 403 }, { kind: 'authFailed' }],
  ['429', { status: 429 }, { kind: 'rateLimited', retryAfterMs: undefined }],
  [
    '429 with Retry-After',
    { status: 429, headers: new Headers({ 'retry-after': '7' }) },
    { kind: 'rateLimited', retryAfterMs: 7_000 },
  ],
  [
    'Retry-After that is a date',
    { status: 429, headers: new Headers({ 'retry-after': 'Sat, 21 Nov 2026 10:00:00 GMT' }) },
    { kind: 'rateLimited', retryAfterMs: undefined },
  ],
  ['an exhausted quota', { status: 429, code: 'insufficient_quota' }, { kind: 'rateLimited', retryAfterMs: 300_000 }],
  [
    'a question that is too long',
    { status: 400, code: 'context_length_exceeded' },
    { kind: 'incomplete', why: 'input' },
  ],
  ['400 that a proxy sent', { status: 400 }, { kind: 'unavailable' }],
  ['404 that a proxy sent', { status: 404 }, { kind: 'unavailable' }],
  [
    '400 without a code',
    { status: 400, code: null, type: 'invalid_request_error' },
    { kind: 'rejected', detail: 'HTTP 400' },
  ],
  ['400', { status: 400, code: 'unknown_parameter' }, { kind: 'rejected', detail: 'HTTP 400, unknown_parameter' }],
  [
    'an unknown model',
    { status: 404, code: 'model_not_found' },
    { kind: 'rejected', detail: 'HTTP 404, model_not_found' },
  ],
];

test.each(cases)('an error of the provider is classified: %s', (_name, error, expected) => {
  expect(classifyError(error)).toEqual(expected);
});

describe('the body of a successful response', () => {
  const schema = z.object({ a: z.number() });
  const message = (...content: object[]) => ({ type: 'message', content });
  const text = (value: string) => message({ type: 'output_text', text: value });
  const response = (status: string, output: object[], more: object = {}) => ({
    object: 'response',
    status,
    output,
    ...more,
  });
  test.each<[string, unknown, object]>([
    [
      'completed',
      response('completed', [{ type: 'reasoning' }, text('{"a":1}')]),
      { kind: 'answered', value: { a: 1 } },
    ],
    ['JSON that does not match the schema', response('completed', [text('{"b":1}')]), { kind: 'invalid' }],
    ['text that is not JSON', response('completed', [text('Here: {"a":1}')]), { kind: 'invalid' }],
    ['no output', response('completed', []), { kind: 'invalid' }],
    ['cancelled, with an answer', response('cancelled', [text('{"a":1}')]), { kind: 'unavailable' }],
    ['in progress', response('in_progress', []), { kind: 'unavailable' }],
    ['failed', response('failed', [], { error: { code: 'server_error' } }), { kind: 'unavailable' }],
    [
      'failed because of the rate limit',
      response('failed', [], { error: { code: 'rate_limit_exceeded' } }),
      { kind: 'rateLimited', retryAfterMs: undefined },
    ],
    [
      'failed because of the prompt',
      response('failed', [], { error: { code: 'invalid_prompt' } }),
      { kind: 'rejected', detail: 'invalid_prompt' },
    ],
    [
      'incomplete, although the text parses',
      response('incomplete', [text('{"a":1}')]),
      { kind: 'incomplete', why: 'output' },
    ],
    [
      'stopped by the content filter',
      response('incomplete', [], { incomplete_details: { reason: 'content_filter' } }),
      { kind: 'refused' },
    ],
    [
      'refused',
      response('completed', [message({ type: 'refusal', refusal: 'No.' })]),
      { kind: 'refused', text: 'No.' },
    ],
    ['a page of HTML', '<html>ok</html>', { kind: 'unavailable' }],
    ['JSON that is not a response', { status: 'ok' }, { kind: 'unavailable' }],
    ['nothing', undefined, { kind: 'unavailable' }],
  ])('a response body is classified by its status and shape: %s', (_name, body, answer) => {
    expect(classifyAnswer(body, schema)).toMatchObject(answer);
  });
});
