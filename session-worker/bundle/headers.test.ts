import { describe, expect, test } from 'vitest';
import { Headers as Ours } from './headers.ts';

/** What supabase-js does with headers, done with the platform's and with ours. */
const uses: Array<[sentence: string, use: (make: typeof Headers) => unknown]> = [
  ['made of a record', (make) => [...new make({ 'X-B': '2', accept: '1' })]],
  ['made of another', (make) => [...new make(new make({ Prefer: 'a' }))]],
  ['made of nothing', (make) => [...new make()]],
  [
    'set, asked for and deleted in whatever case',
    (make) => {
      const headers = new make({ Accept: 'a' });
      headers.set('ACCEPT', 'b');
      headers.set('Prefer', 'c');
      headers.delete('PREFER');
      return [headers.get('accept'), headers.has('aCCept'), headers.get('prefer'), headers.has('prefer')];
    },
  ],
  [
    'appended to, and walked through by name',
    (make) => {
      const headers = new make();
      for (const value of ['b', 'c']) headers.append('Prefer', value);
      headers.append('Accept', 'a');
      const seen: unknown[] = [];
      headers.forEach((value, name) => {
        seen.push([name, value]);
      });
      return seen;
    },
  ],
];

describe('the bundle’s Headers are the platform’s', () => {
  test.each(uses)('%s', (_sentence, use) => {
    expect(use(Ours as unknown as typeof Headers)).toEqual(use(Headers));
  });
});
