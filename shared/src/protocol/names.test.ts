import { describe, expect, test } from 'vitest';
import { createSessionRequest } from './platform-api.ts';

const takes = (candidate: object, position: object = { title: 'T' }) =>
  createSessionRequest.safeParse({ candidate, position }).success;

describe('addresses and names in any script', () => {
  test.each([
    'a.b+c@example.co.uk',
    "o'neil@example.com",
    'ivan@xn--e1afmkfd.xn--p1ai',
    'user@xn--80ak6aa92e.com',
    'info@münchen.example',
    '用户@例子.广告',
    'first/last@example.com',
    'a@b.museum',
    'उपयोगकर्ता@उदाहरण.भारत',
  ])('%s is an address', (email) => expect(takes({ name: 'N', email })).toBe(true));

  test.each([
    '',
    'a',
    'a@b',
    '@b.example',
    'a@',
    'a@b@c.example',
    'a b@c.example',
    'a@.example',
    'a@b..example',
    'a@-b.example',
  ])('%j is no address', (email) => expect(takes({ name: 'N', email })).toBe(false));

  test.each([
    'a@1.2.3.4',
    '.a@b.example',
    'a.@b.example',
    'a@b.example\n',
    'a\u200b@b.example',
    '\ud83d@b.example',
    `${'a'.repeat(250)}@b.example`,
  ])('%j is no address either', (email) => expect(takes({ name: 'N', email })).toBe(false));

  test.each([
    'José',
    'Jose\u0301',
    'Ngô Đình',
    'محمد',
    '李小龍',
    "D'Arcy",
    'X Æ A-12',
    '👩🏽‍💻 Ada',
    'ß',
    'İpek',
    'a\tb\nc',
    '٣',
    '😀'.repeat(200),
  ])('%s is a name', (name) => expect(takes({ name }, { title: name })).toBe(true));

  test.each([
    ...['', '   ', '\n', '\u200b', '\u202e', '\u3164', '\u2800', '\ufe0f', '\u{e0020}'],
    ...['A\u0000', 'A\u0007', 'A\u007f', 'A\ud83d', '😀'.repeat(201)],
  ])('%j is no name: it shows nothing, has a control character or half a character, or is too long', (name) => {
    expect(takes({ name })).toBe(false);
    expect(takes({ name: 'N' }, { title: name })).toBe(false);
    expect(takes({ name: 'N', external_id: name })).toBe(false);
  });

  test('the error names the field and says what is wrong', () => {
    const { error } = createSessionRequest.safeParse({
      candidate: { name: 'A\u0007B', email: 'x' },
      position: { title: 'T' },
    });
    expect(error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual([
      'candidate.name: must not contain control characters',
      'candidate.email: must be an e-mail address',
    ]);
  });

  test.each([
    ['a name of spaces', (n: number) => ({ name: ' '.repeat(n) })],
    ['an address of dots and dashes', (n: number) => ({ name: 'N', email: `a@${'b--.'.repeat(n / 4)}` })],
  ])('%s that is too long is refused by its length, before any pattern is tried', (_what, candidate) => {
    const [short, long] = [1_000, 4_000_000].map((n) => candidate(n));
    const leastMs = (sent: object) =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const startedMs = performance.now();
          expect(takes(sent)).toBe(false);
          return performance.now() - startedMs;
        }),
      );
    leastMs(short as object);
    expect(leastMs(long as object)).toBeLessThan(5);
  });
});
