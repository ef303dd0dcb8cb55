import { expect, test, vi } from 'vitest';
import { connectCandidate } from '../test/candidate.ts';
import { scriptedVoice } from '../test/scripted-voice.ts';
import { serveWorker } from '../test/serve.ts';

// Failure pinned: the conversation used one provider's event names, so that a second provider would have changed fourteen files.
test('a whole interview runs with another voice adapter, without provider or WebRTC, and no other change to the worker', async () => {
  const voice = scriptedVoice(['Welcome. What do you build?', 'And how?']);
  const served = await serveWorker({ voice: voice.factory });
  const { peers, port, worker, exited } = served;
  await vi.waitFor(() => expect(worker.ready).toBe(true));
  const candidate = await connectCandidate(port, peers);
  candidate.say({ type: 'init_session' });
  await candidate.receives('session_ready');
  candidate.say({ type: 'sdp_offer', sdp: 'v=0', ordinal: 1 });
  expect(await candidate.receives('error')).toMatchObject({
    code: 'invalid_sdp',
    message: expect.stringContaining('only a simulated candidate'),
  });
  const offer = JSON.stringify({ scripted: 1, tampers: ['foreign_item'] });
  candidate.say({ type: 'sdp_offer', sdp: offer, ordinal: 1 });
  expect(await candidate.receives('sdp_answer')).toMatchObject({ sdp: '{"scripted":1}', ordinal: 1 });
  candidate.say({ type: 'call_connected', ordinal: 1 });
  const isAsked = (text: string) => candidate.receives('transcript_entry', (m) => JSON.stringify(m).includes(text));
  await isAsked('What do you build?');
  candidate.say({ type: 'typed_answer', id: 'answer-1', text: 'Bridges.' });
  await isAsked('And how?');
  await new Promise((resolve) => setTimeout(resolve, 1_100)); // Typed answers come at most once a second.
  candidate.say({ type: 'typed_answer', id: 'answer-2', text: 'With care.' });

  expect(await candidate.receives('session_ended')).toMatchObject({
    outcome: 'completed',
    reason: 'interviewer_finished',
  });
  expect(await exited).toBe(0);
  expect([...peers.stored.values()].map(({ speaker, text }) => `${speaker}: ${text}`)).toEqual([
    'ai: Welcome. What do you build?',
    'candidate: Bridges.',
    'ai: And how?',
    'candidate: With care.',
    'ai: Thank you, that was all. Goodbye.',
  ]);
  expect(voice.asked).toEqual([`call ${offer}`, 'hang up scripted']);
  expect(peers.journal).toContain('POST /rest/v1/rpc/flag_integrity');
  expect(peers.journal.filter((what) => what.includes('realtime') || what.includes('sideband'))).toEqual([]);
  await served.close();
});
