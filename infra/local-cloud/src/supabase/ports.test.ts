import { expect, test } from 'vitest';
import { freePort } from './ports.ts';

// Failure pinned: a service found its port in use, because another one had been given it before the first had taken it.
test('a port is not given twice before it is taken', async () => {
  const ports = new Set<number>();
  for (let asked = 0; asked < 300; asked++) ports.add(await freePort());
  expect(ports.size).toBe(300);
});
