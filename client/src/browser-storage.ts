/** The methods of Storage that are used here. */
type SecretStorage = Pick<Storage, 'getItem' | 'setItem'>;

const probe = 'greenroom';

/** The browser's localStorage, or undefined if it is blocked by a setting or missing in a web view. */
export function browserStorage(): SecretStorage | undefined {
  try {
    localStorage.setItem(probe, probe);
    localStorage.removeItem(probe);
    return localStorage;
  } catch {
    return undefined;
  }
}

const secretKey = 'greenroom.browser';

/**
 * The secret of this browser. Only with it can the invitation be used again after a reload.
 * If storage is blocked, the secret is kept in the history entry of this tab, which also survives a reload.
 */
export function browserSecret(
  storage: SecretStorage | undefined,
  page: Pick<History, 'state' | 'replaceState'>,
): string {
  const inHistory = (page.state as Record<string, unknown> | null)?.[secretKey];
  const known = storage?.getItem(secretKey) ?? (typeof inHistory === 'string' ? inHistory : undefined);
  if (known) return known;
  const made = crypto.randomUUID() + crypto.randomUUID();
  if (storage) storage.setItem(secretKey, made);
  else page.replaceState({ ...(page.state as object | null), [secretKey]: made }, '');
  return made;
}
