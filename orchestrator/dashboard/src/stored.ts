import { useEffect, useState } from 'react';

/** Reads what is kept under this key. Anything that does not fit, such as what another version of the page has kept, is ignored. */
function read<T>(key: string, isFit: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    return isFit(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A choice that this browser remembers, the same in all of its tabs. Without storage it lasts until the page is closed.
 * @returns the choice, and a function that changes it
 */
export function useStored<T>(
  name: string,
  initial: T,
  isFit: (value: unknown) => value is T,
): [T, (change: (before: T) => T) => void] {
  const key = `greenroom:${name}`;
  const [value, setValue] = useState<T>(() => read(key, isFit) ?? initial);
  useEffect(() => {
    const onOtherTab = (event: StorageEvent) => {
      if (event.key === key) setValue((before) => read(key, isFit) ?? before);
    };
    addEventListener('storage', onOtherTab);
    return () => removeEventListener('storage', onOtherTab);
  }, [key, isFit]);
  const keep = (change: (before: T) => T) => {
    // Another tab may have changed it a moment ago.
    const next = change(read(key, isFit) ?? value);
    setValue(next);
    try {
      localStorage.setItem(key, JSON.stringify(next));
    } catch {
      // Blocked or full: it is not remembered.
    }
  };
  return [value, keep];
}
