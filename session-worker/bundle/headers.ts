/**
 * As much of the platform's `Headers` as supabase-js and we use, put in its place in the bundle (build.ts): asking Node for
 * the real one loads its whole fetch, 5 MB and 10 ms, of which the worker uses nothing else.
 */
type Init = Iterable<readonly [string, string]> | Record<string, string> | undefined;

const isIterable = (init: object): init is Iterable<readonly [string, string]> => Symbol.iterator in init;

export class Headers {
  readonly #values = new Map<string, string>();

  constructor(init?: Init) {
    for (const [name, value] of init && isIterable(init) ? init : Object.entries(init ?? {})) this.append(name, value);
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), String(value));
  }

  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${value}`);
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  forEach(each: (value: string, name: string) => void): void {
    for (const [name, value] of this) each(value, name);
  }

  /** By name, as the platform's. */
  [Symbol.iterator](): Iterator<[string, string]> {
    return [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))[Symbol.iterator]();
  }
}
