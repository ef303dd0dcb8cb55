import { ask, type Check, fail, ok, saysOf } from './check.ts';

/** Whether api.video accepts the key. Recording is optional: without a key there is nothing to check. */
export const videoKey: Check = {
  id: 'video-key',
  means: 'Interviews run, but are not recorded.',
  run: async ({ config: { video } }) => {
    if (video === null) return ok('Recording is not set up (API_VIDEO_KEY).');
    const authorization = `Basic ${Buffer.from(`${video.apiKey}:`).toString('base64')}`;
    const answer = await ask(`${video.url}/videos?pageSize=1`, { headers: { authorization } });
    if (answer.status === 200) return ok('api.video accepts the key.');
    if (answer.status === 401 || answer.status === 403)
      return fail(
        'api.video refuses the key.',
        'Set API_VIDEO_KEY (api.video dashboard, API keys). A sandbox key needs API_VIDEO_URL=https://sandbox.api.video',
      );
    return fail(`api.video ${saysOf(answer)}.`, 'Correct API_VIDEO_URL, or wait for api.video.');
  },
};
