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
  test('survives a reload where storage is blocked: it lies in the tab’s history', () => {
    const page = pageHistory();
    const first = browserSecret(undefined, page);
    expect(first.length).toBeGreaterThan(32);
    expect(browserSecret(undefined, page)).toBe(first);
    expect(browserSecret(undefined, pageHistory())).not.toBe(first);
  });

  test('lies in the storage where there is one', () => {
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
