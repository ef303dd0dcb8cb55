/** As much of the Web's Storage as the secret needs. */
type SecretStorage = Pick<Storage, 'getItem' | 'setItem'>;

/** The browser's storage, or undefined where it keeps nothing for us: blocked by a setting, or missing in a web view. */
export function browserStorage(): SecretStorage | undefined {
  try {
    const probe = 'greenroom.probe';
    localStorage.setItem(probe, probe);
    localStorage.removeItem(probe);
    return localStorage;
  } catch {
    return undefined;
  }
}

const secretKey = 'greenroom.browser';

/**
 * A secret of this browser: it alone may use the invitation again after a reload.
 * Where storage is blocked the secret lies in the history entry of this tab, which survives a reload as well.
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
