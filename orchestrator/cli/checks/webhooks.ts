import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { z } from 'zod';
import { createGuard, type Destination } from '../../src/net/guard.ts';
import { type Check, ok, reasonOf, unknown, warn } from './check.ts';
import { readRows } from './database.ts';

const endpoint = z.object({ id: z.string(), tenant_id: z.string(), url: z.string() });
const most = 50;
const limitMs = 5_000;

/** Opens a connection to the endpoint and closes it. Nothing is sent. */
function reach({ url, address }: Destination): Promise<void> {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  return new Promise((resolve, reject) => {
    const connected = () => {
      socket.destroy();
      resolve();
    };
    const socket =
      url.protocol === 'https:'
        ? connectTls({ host: address, port, servername: url.hostname }, connected)
        : connectTcp({ host: address, port }, connected);
    socket.setTimeout(limitMs, () => socket.destroy(new Error(`no answer within ${limitMs / 1_000} s`)));
    socket.once('error', reject);
  });
}

/** Whether the tenants' webhook endpoints can be reached from here. */
export const webhooks: Check = {
  id: 'webhooks',
  means: 'Interviews run, but the platform is not told of their results; events are repeated for days.',
  run: async (context) => {
    const query = `webhook_endpoints?enabled=is.true&select=id,tenant_id,url&limit=${most}`;
    const found = await readRows(context, query, (row) => endpoint.parse(row)).catch(() => undefined);
    if (found === undefined)
      return unknown('The endpoints cannot be read.', 'Correct the checks of the database first.');
    const guard = createGuard({ allow: context.config.outboundAllow });
    const problems = await Promise.all(
      found.map(async ({ id, tenant_id, url }) => {
        const checked = await guard.check(url);
        const why = checked.kind === 'refused' ? checked.why : await reach(checked).then(() => undefined, reasonOf);
        return why === undefined ? [] : [`endpoint ${id} of tenant ${tenant_id}: ${why}`];
      }),
    );
    const list = problems.flat();
    if (list.length === 0)
      return ok(found.length === 0 ? 'There are none.' : `${found.length} endpoints can be reached.`);
    return warn(
      `${list.slice(0, 5).join('; ')}.`,
      'The tenant corrects the URL (PATCH /api/webhooks/{id}) or its server; then replay: POST /api/webhooks/deliveries/{id}/replay',
    );
  },
};
