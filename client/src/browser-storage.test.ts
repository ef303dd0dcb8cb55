import { describe, expect, test } from 'vitest';
import { browserSecret } from './browser-storage.ts';

const pageHistory = () => {
  const page = {
    state: null as unknown,
    replaceState: (state: unknown) => {
      page.state = state;
    },
  };
  return page as unknown as Pick<History, 'state' | 'replaceState'>;
};

describe('the browser’s secret', () => {
  test('the secret is kept in the history entry of the tab if storage is blocked, and survives a reload', () => {
    const page = pageHistory();
    const first = browserSecret(undefined, page);
    expect(first.length).toBeGreaterThan(32);
    expect(browserSecret(undefined, page)).toBe(first);
    expect(browserSecret(undefined, pageHistory())).not.toBe(first);
  });

  test('the secret is kept in the storage if there is one', () => {
    const items = new Map<string, string>();
    const storage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
    } as unknown as Storage;
    const page = pageHistory();
    const first = browserSecret(storage, page);
    expect([browserSecret(storage, pageHistory()), page.state]).toEqual([first, null]);
  });
});
