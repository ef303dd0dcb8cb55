import { expect, test } from 'vitest';
import { classifyError, type ProviderError } from './model.ts';

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
  ['a quota used up', { status: 429, code: 'insufficient_quota' }, { kind: 'rateLimited', retryAfterMs: 300_000 }],
  ['a question too long', { status: 400, code: 'context_length_exceeded' }, { kind: 'incomplete', why: 'input' }],
  ['400', { status: 400, code: 'unknown_parameter' }, { kind: 'rejected', detail: 'HTTP 400, unknown_parameter' }],
  [
    'an unknown model',
    { status: 404, code: 'model_not_found' },
    { kind: 'rejected', detail: 'HTTP 404, model_not_found' },
  ],
];

test.each(cases)('%s', (_name, error, expected) => {
  expect(classifyError(error)).toEqual(expected);
});
