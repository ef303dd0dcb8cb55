import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const program = `
import { createCandidatePeer } from './infra/local-cloud/src/candidate/candidate-peer.ts';
import { startVoiceProvider } from './infra/local-cloud/src/voice/provider.ts';
import { startVideo } from './infra/local-cloud/src/video/video.ts';
const video = await startVideo();
const provider = await startVoiceProvider({ autoStart: true });
const headers = { authorization: 'Bearer ' + provider.apiKey };
const speaking = Promise.withResolvers();
const onEvent = (event) => event.type === 'output_audio_buffer.started' && speaking.resolve();
const peer = createCandidatePeer({ autoAnswer: true, onEvent });
const body = new FormData();
body.set('sdp', await peer.offer());
const response = await fetch(provider.url + '/v1/realtime/calls', { method: 'POST', headers, body });
await peer.accept(await response.text());
await peer.connected;
await speaking.promise;
peer.speak(10_000);
await provider.stop();
await peer.close();
await video.stop();
console.log('stopped');
`;

describe('after stop', () => {
  it('no timer or connection keeps the process alive, although a call was live', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--eval', program],
      { timeout: 60_000 },
    );
    expect(stdout.trim()).toBe('stopped');
  }, 20_000);
});
