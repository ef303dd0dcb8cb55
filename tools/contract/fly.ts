import { randomBytes } from 'node:crypto';
import { authorizationOf } from '../../orchestrator/src/fly/send.ts';
import { egressPolicy } from '../../orchestrator/src/tenants/egress-policy.ts';
import { createFlySchemas } from './fly-schemas.ts';
import { type Case, expectStatus, expectThat, type Said, type Say, type Suite, until } from './suite.ts';

export interface FlyTarget {
  apiUrl: string;
  token: string;
  org: string;
  /** An image whose process keeps running. */
  image: string;
  region: string;
}

type Machine = { id: string; state: string; name: string };
const resting = ['created', 'stopped'];
const limitMs = 90_000;

/** The Machines API: one app of our own, with two machines, from their creation to their end. */
export function flySuite({ apiUrl, token, org, image, region }: FlyTarget, say: Say): Suite {
  const check = createFlySchemas();
  const app = `gr-contract-${randomBytes(5).toString('hex')}`;
  const made = new Set<string>();
  let standby: Machine | undefined;

  const ask = (method: string, path: string, body?: object): Promise<Said> =>
    say(`${apiUrl}/v1${path}`, {
      method,
      headers: { authorization: authorizationOf(token), 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });

  /** Sends a request about an app. Throws before sending if this run did not create the app. */
  const own = (method: string, name: string, rest = '', body?: object): Promise<Said> => {
    if (!made.has(name)) throw new Error(`this run did not make the app ${name}: it is not touched`);
    return ask(method, `/apps/${name}${rest}`, body);
  };

  const config = {
    image,
    auto_destroy: true,
    restart: { policy: 'no' },
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 },
  };
  const metadata = { greenroom_contract: app };
  const create = (name: string, more: object = {}) =>
    own('POST', app, '/machines', { name, region, config: { ...config, metadata }, ...more });
  const reach = (id: string, states: string[]): Promise<Machine> =>
    until(`machine ${id} reaches ${states.join(' or ')}`, limitMs, async () => {
      const { body } = await own('GET', app, `/machines/${id}`);
      const machine = body as Machine;
      return states.includes(machine?.state) ? machine : undefined;
    });

  const cases: Case[] = [
    {
      title: 'a token tells of itself',
      run: async () => {
        const answer = await ask('GET', '/tokens/current');
        expectStatus('GET /tokens/current', answer, 200);
        check('CurrentTokenResponse', answer.body);
      },
    },
    {
      title: 'the regions are listed',
      run: async () => {
        const answer = await ask('GET', '/platform/regions');
        expectStatus('GET /platform/regions', answer, 200);
        check('main.regionResponse', answer.body);
      },
    },
    {
      title: 'an app is made with its name in both fields, on a network of its own',
      row: '`POST /v1/apps` takes the name',
      run: async () => {
        const answer = await ask('POST', '/apps', { app_name: app, name: app, org_slug: org, network: `${app}-net` });
        expectStatus('POST /apps', answer, 200, 201);
        made.add(app);
      },
    },
    {
      title: 'the app or the list of apps shows its network',
      row: 'An app shows its network',
      run: async () => {
        const shown = await own('GET', app);
        expectStatus('GET /apps/{app}', shown, 200);
        check('App', shown.body);
        const listed = await ask('GET', `/apps?org_slug=${encodeURIComponent(org)}`);
        check('ListAppsResponse', listed.body);
        const inList = (listed.body as { apps: Array<{ name: string; network?: string }> }).apps;
        const network =
          (shown.body as { network?: string }).network ?? inList.find(({ name }) => name === app)?.network;
        expectThat(`the network is ${network}`, network === `${app}-net`);
      },
    },
    {
      title: 'a taken app name is refused with 422, and the error is text in JSON',
      row: 'A refusal of the Machines API is JSON',
      run: async () => {
        const answer = await ask('POST', '/apps', { app_name: app, name: app, org_slug: org });
        expectStatus('POST /apps', answer, 422);
        check('ErrorResponse', answer.body);
        expectThat('the error is a text', typeof (answer.body as { error?: unknown }).error === 'string');
      },
    },
    {
      title: 'a network policy is set and listed by its name',
      row: 'Network policies:',
      run: async () => {
        expectStatus('POST network_policies', await own('POST', app, '/network_policies', egressPolicy), 200, 201);
        const { body } = await own('GET', app, '/network_policies');
        expectThat('it is listed', Array.isArray(body) && body.some(({ name }) => name === egressPolicy.name));
      },
    },
    {
      title: 'a machine made with skip_launch rests in created or stopped and is not destroyed',
      row: 'A machine created with `skip_launch` stays',
      run: async () => {
        const answer = await create('contract-standby', { skip_launch: true });
        expectStatus('POST machines', answer, 200);
        check('Machine', answer.body);
        standby = await reach((answer.body as Machine).id, resting);
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        standby = await reach(standby.id, resting);
      },
    },
    {
      title: 'a name that is taken answers 409 and names the holder',
      row: 'A create with a used name',
      run: async () => {
        const answer = await create('contract-standby', { skip_launch: true });
        expectStatus('POST machines', answer, 409);
        expectThat('the error names the machine', answer.text.includes(`${standby?.id}`));
      },
    },
    {
      title: 'a machine is found by its metadata',
      row: 'A create whose answer was lost is found again',
      run: async () => {
        const answer = await own('GET', app, `/machines?metadata.greenroom_contract=${app}`);
        expectStatus('GET machines', answer, 200);
        expectThat(
          'it is listed',
          (answer.body as Machine[]).some(({ id }) => id === standby?.id),
        );
        const others = await own('GET', app, '/machines?metadata.greenroom_contract=other');
        expectThat('another value finds nothing', (others.body as Machine[]).length === 0);
      },
    },
    {
      title: 'the resting machine starts',
      row: 'A machine created with `skip_launch` stays',
      run: async () => {
        expectStatus('POST start', await own('POST', app, `/machines/${standby?.id}/start`, {}), 200);
        check('Machine', await reach(`${standby?.id}`, ['started']));
      },
    },
    {
      title: 'auto_destroy destroys it when its process ends, and destroyed is final',
      row: '`auto_destroy` destroys a machine',
      run: async () => {
        const stop = { signal: 'SIGKILL', timeout: '5s' };
        expectStatus('POST stop', await own('POST', app, `/machines/${standby?.id}/stop`, stop), 200);
        await until('the machine is destroyed', limitMs, async () => {
          const { status, body } = await own('GET', app, `/machines/${standby?.id}`);
          return status === 404 || (body as Machine).state === 'destroyed' ? true : undefined;
        });
      },
    },
    {
      title: 'a machine that never was answers 404 with a JSON error',
      row: 'A refusal of the Machines API is JSON',
      run: async () => {
        const answer = await own('GET', app, '/machines/00000000000000');
        expectStatus('GET machine', answer, 404);
        expectThat('the error is a text', typeof (answer.body as { error?: unknown })?.error === 'string');
      },
    },
    {
      title: 'the organisation lists its machines',
      run: async () => {
        const answer = await ask('GET', `/orgs/${encodeURIComponent(org)}/machines?limit=10`);
        expectStatus('GET orgs/{org}/machines', answer, 200);
        check('OrgMachinesResponse', answer.body);
      },
    },
    {
      title: 'the deletion of an app is accepted, and the app is gone later',
      row: 'The deletion of an app is accepted at once',
      run: async () => {
        expectStatus('DELETE app', await own('DELETE', app), 200, 202);
        await until('the app is gone', limitMs, async () =>
          (await own('GET', app)).status === 404 ? true : undefined,
        );
        made.delete(app);
      },
    },
  ];

  return {
    cases,
    names: { app, org },
    cleanUp: async () => {
      const left: string[] = [];
      for (const name of made) {
        const { status } = await own('DELETE', name);
        if (![200, 202, 404].includes(status)) left.push(`app ${name}: delete it with fly apps destroy ${name}`);
      }
      return left;
    },
    cost: 'less than a cent: one machine of 256 MB for under a minute',
  };
}
