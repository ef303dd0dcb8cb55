/**
 * Resident memory of this process, bytes; undefined where the system does not say. Without /proc, which an image does not need
 * otherwise, Node throws instead.
 */
export function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}
