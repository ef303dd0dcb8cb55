import { useState } from 'react';

/** A choice that this browser remembers. Without storage it lasts until the page is closed. */
export function useStored<T>(name: string, initial: T): [T, (value: T) => void] {
  const key = `greenroom:${name}`;
  const [value, setValue] = useState<T>(() => {
    try {
      const kept = localStorage.getItem(key);
      return kept === null ? initial : (JSON.parse(kept) as T);
    } catch {
      return initial;
    }
  });
  const keep = (next: T) => {
    setValue(next);
    try {
      localStorage.setItem(key, JSON.stringify(next));
    } catch {
      // Blocked or full: it is not remembered.
    }
  };
  return [value, keep];
}
