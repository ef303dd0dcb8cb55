import { videoClientCases } from './clients/video.ts';
import { expectStatus, expectThat, type Said, type Say, type Suite } from './suite.ts';

/** Title of the container that this run makes. */
const title = 'Greenroom contract';

export interface VideoTarget {
  url: string;
  apiKey: string;
}

/** api.video: a few private containers and upload tokens, all removed. */
export function videoSuite({ url, apiKey }: VideoTarget, say: Say): Suite {
  const authorization = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`;
  const ask = (method: string, path: string, body?: object): Promise<Said> =>
    say(`${url}${path}`, {
      method,
      headers: { authorization, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  const clients = videoClientCases({ url, apiKey });
  let videoId: string | undefined;
  let token: string | undefined;

  return {
    cost: 'nothing: an empty container, and three with 6 MB of zeros',
    names: { title },
    cleanUp: async () => {
      const left = await clients.cleanUp();
      for (const path of [videoId && `/videos/${videoId}`, token && `/upload-tokens/${token}`]) {
        if (!path) continue;
        const { status } = await ask('DELETE', path);
        if (![204, 404].includes(status)) left.push(path);
      }
      return left;
    },
    cases: [
      {
        title: 'a private container is made, and JSON is named so without a character set',
        run: async () => {
          const body = {
            title,
            public: false,
            metadata: [{ key: 'greenroom', value: 'contract' }],
          };
          const answer = await ask('POST', '/videos', body);
          expectStatus('POST /videos', answer, 201);
          videoId = (answer.body as { videoId: string }).videoId;
          expectThat('application/json', answer.headers.get('content-type') === 'application/json');
        },
      },
      {
        title: 'an empty container has the ingest status missing, or none',
        row: 'An empty container has the ingest status',
        run: async () => {
          const answer = await ask('GET', `/videos/${videoId}/status`);
          expectStatus('GET status', answer, 200);
          const status = (answer.body as { ingest?: { status?: string | null } | null }).ingest?.status ?? 'missing';
          expectThat(`the status is ${status}`, status === 'missing');
        },
      },
      {
        title: 'a container is found by its metadata',
        run: async () => {
          const { body } = await ask('GET', '/videos?metadata[greenroom]=contract');
          expectThat(
            'it is listed',
            (body as { data: Array<{ videoId: string }> }).data.some((one) => one.videoId === videoId),
          );
        },
      },
      {
        title: 'an upload token has a lifetime',
        run: async () => {
          const answer = await ask('POST', '/upload-tokens', { ttl: 60 });
          expectStatus('POST /upload-tokens', answer, 200, 201);
          token = (answer.body as { token: string }).token;
        },
      },
      {
        title: 'a deletion answers 204, and afterwards 404 is a problem document',
        run: async () => {
          expectStatus('DELETE', await ask('DELETE', `/videos/${videoId}`), 204);
          const gone = await ask('GET', `/videos/${videoId}`);
          expectStatus('GET', gone, 404);
          expectThat('a problem document', typeof (gone.body as { title?: unknown })?.title === 'string');
        },
      },
      ...clients.cases.map((one) => ({ ...one, live: true as const })),
    ],
  };
}
