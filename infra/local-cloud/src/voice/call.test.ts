import { describe, expect, it, vi } from 'vitest';
import {
  attach,
  candidate,
  interview,
  mint,
  openCall,
  postOffer,
  session,
  start,
  transcriptOf,
  typesOf,
} from './fixtures.ts';
import type { WireEvent } from './wire.ts';

const hangUp = (url: string, callId: string, credential: string) =>
  fetch(`${url}/v1/realtime/calls/${callId}/hangup`, {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}` },
  });

describe('a scripted call over real media', () => {
  it('runs the whole interview, and data channel and sideband both carry exactly what was said', async () => {
    const provider = await start();
    const seen: WireEvent[] = [];
    const peer = candidate({ autoAnswer: true, onEvent: (event) => seen.push(event) });
    const { sideband, snapshot, callId, secret } = await interview(provider, peer);
    const call = await sideband.event('response.function_call_arguments.done');
    const output = { type: 'function_call_output', call_id: call.call_id, output: '{}' };
    sideband.send({ type: 'conversation.item.create', item: output });
    sideband.send({ type: 'response.create' });
    await sideband.event('output_audio_buffer.stopped', 3);

    const said = snapshot()?.said ?? [];
    const wire = said.map(({ item_id, speaker, text }) => ({ item_id, speaker, text }));
    const speakers = said.map((line) => line.speaker);
    expect(speakers).toEqual(['interviewer', 'candidate', 'interviewer', 'candidate', 'interviewer']);
    expect(transcriptOf(sideband.events)).toEqual(wire);
    await vi.waitFor(() => expect(transcriptOf(seen)).toEqual(wire));
    expect(seen[0]?.type).toBe('session.created');
    expect(typesOf(sideband.events)).not.toContain('session.created');
    expect(peer.stats.voicePacketsReceived).toBeGreaterThan(10);
    expect(snapshot()?.packetsReceived).toBeGreaterThan(10);

    expect((await hangUp(provider.url, callId, secret)).status).toBe(200);
    expect((await sideband.closed).code).toBe(1000);
    await peer.closed;
    expect(snapshot()).toMatchObject({ state: 'ended', endedBy: 'hangup' });
  });

  it('sends a turn’s events in the recorded order: the candidate’s text comes after the reply has begun', async () => {
    const provider = await start({ turns: 2 });
    const peer = candidate({ autoAnswer: true });
    const { sideband } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.stopped', 2);
    const types = typesOf(sideband.events).filter((type) => !type.endsWith('.delta'));
    const spoken = [
      'response.created',
      'response.output_item.added',
      'conversation.item.added',
      'response.content_part.added',
      'output_audio_buffer.started',
      'response.output_audio.done',
      'response.output_audio_transcript.done',
      'response.content_part.done',
      'conversation.item.done',
      'response.output_item.done',
      'response.done',
      'rate_limits.updated',
      'output_audio_buffer.stopped',
    ];
    const heard = [
      'input_audio_buffer.speech_started',
      'input_audio_buffer.speech_stopped',
      'input_audio_buffer.committed',
      'conversation.item.added',
      'conversation.item.done',
    ];
    const reply = spoken.toSpliced(4, 0, 'conversation.item.input_audio_transcription.completed');
    expect(types).toEqual([...spoken, ...heard, ...reply]);
    const completed = sideband.events.find((event) => event.type.endsWith('transcription.completed'));
    expect(completed?.logprobs).toBeInstanceOf(Array);
    const links = sideband.events
      .filter((event) => event.type === 'conversation.item.added')
      .map((event) => ({ id: (event.item as { id: string }).id, previous: event.previous_item_id }));
    expect(links.map((link) => link.previous)).toEqual([null, links[0]?.id, links[1]?.id]);
  });

  it('waits without limit for a candidate who says nothing', async () => {
    const provider = await start();
    const peer = candidate();
    const { sideband, snapshot } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.stopped');
    expect(snapshot()?.phase).toBe('listening');
    peer.speak(100);
    await sideband.event('input_audio_buffer.committed');
    expect(snapshot()?.phase).toBe('responding');
  });

  it('is interrupted by voice when barge-in is on: text that was not generated yet is never said', async () => {
    const provider = await start({ bargeIn: true, paceMs: 2000 });
    const peer = candidate();
    const { sideband, snapshot } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.started');
    peer.speak(100);
    const done = await sideband.event('response.done');
    expect(done.response).toMatchObject({ status: 'cancelled', status_details: { reason: 'turn_detected' } });
    const types = typesOf(sideband.events).slice(typesOf(sideband.events).indexOf('input_audio_buffer.speech_started'));
    expect(types.slice(0, 3)).toEqual([
      'input_audio_buffer.speech_started',
      'output_audio_buffer.cleared',
      'conversation.item.truncated',
    ]);
    await sideband.event('conversation.item.input_audio_transcription.completed');
    const [opening, interruption] = snapshot()?.said ?? [];
    expect(opening).toMatchObject({ speaker: 'interviewer', interrupted: true });
    // The whole opening ends with its question.
    expect(opening?.text).not.toMatch(/\?$/);
    expect(interruption).toMatchObject({ speaker: 'candidate', transcribed: true });
    expect(transcriptOf(sideband.events)[0]?.text).toBe(opening?.text);
  });

  it('continues in a second call where the first stopped, judging by the history in its context', async () => {
    const provider = await start({ turns: 3 });
    const first = await interview(provider, candidate({ autoAnswer: true }));
    await first.sideband.event('response.done', 2);
    await hangUp(provider.url, first.callId, first.secret);
    const said = first.snapshot()?.said ?? [];

    const peer = candidate();
    const secret = await mint(provider);
    const callId = await openCall(provider, peer, secret);
    const sideband = await attach(provider, callId, secret);
    await peer.connected;
    for (const line of said) {
      const content =
        line.speaker === 'candidate'
          ? { role: 'user', content: [{ type: 'input_text', text: line.text }] }
          : { role: 'assistant', content: [{ type: 'output_text', text: line.text }] };
      sideband.send({ type: 'conversation.item.create', item: { type: 'message', ...content } });
    }
    sideband.send({ type: 'response.create' });
    const reply = await sideband.event('response.output_audio_transcript.done');
    expect(reply.transcript).toMatch(/^Welcome back/);
    expect(provider.calls()[1]).toMatchObject({ scriptPosition: 1 });
  });
});

describe('a call whose media is not up', () => {
  it('speaks on request anyway, as the real one does, and turns can be simulated', async () => {
    const provider = await start();
    const secret = await mint(provider);
    const response = await postOffer(provider, secret, await candidate().offer());
    const callId = response.headers.get('location')?.split('/').at(-1) ?? '';
    const sideband = await attach(provider, callId, secret);
    sideband.send({ type: 'response.create' });
    await sideband.event('output_audio_buffer.stopped');
    provider.script.candidateTurn(callId);
    await sideband.event('output_audio_buffer.stopped', 2);
    expect(provider.calls()[0]?.said).toHaveLength(3);
    await provider.script.expire(callId);
    expect((await sideband.closed).code).toBe(1001);
    expect(provider.health()).toMatchObject({ ok: true, live: 0, ended: 1 });
  });

  it('with `holdUntilMedia` keeps the request until the media is up', async () => {
    const provider = await start({ holdUntilMedia: true });
    const seen: WireEvent[] = [];
    const peer = candidate({ onEvent: (event) => seen.push(event) });
    const secret = await mint(provider);
    const response = await postOffer(provider, secret, await peer.offer());
    const callId = response.headers.get('location')?.split('/').at(-1) ?? '';
    const sideband = await attach(provider, callId, secret);
    sideband.send({ type: 'response.create' });
    sideband.send({ type: 'session.update', session: {} });
    await sideband.event('session.updated');
    expect(typesOf(sideband.events)).toEqual(['session.updated']);
    await peer.accept(await response.text());
    await sideband.event('output_audio_buffer.stopped');
    await vi.waitFor(() => expect(typesOf(seen)).toContain('output_audio_buffer.stopped'));
    expect(typesOf(seen).slice(0, 2)).toEqual(['session.created', 'response.created']);
  });

  it('with `autoStart` begins by itself once the media is up', async () => {
    const provider = await start({ autoStart: true });
    const seen: WireEvent[] = [];
    const peer = candidate({ onEvent: (event) => seen.push(event) });
    await openCall(provider, peer, await mint(provider));
    await vi.waitFor(() => expect(typesOf(seen)).toContain('output_audio_buffer.stopped'));
  });
});

describe('how a call ends', () => {
  it('ends at the duration limit with an error event and close code 1001', async () => {
    const provider = await start({ maxCallMs: 700 });
    const { sideband, snapshot } = await interview(provider, candidate());
    const { code } = await sideband.closed;
    expect(code).toBe(1001);
    expect(sideband.events.at(-1)).toMatchObject({ type: 'error', error: { code: 'session_expired' } });
    expect(snapshot()).toMatchObject({ state: 'ended', endedBy: 'session_expired' });
  });

  it('ends without notice to the sideband when the candidate’s peer disconnects, and is unknown afterwards', async () => {
    const provider = await start();
    const peer = candidate();
    const { sideband, snapshot, callId, secret } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.stopped');
    await peer.close();
    await vi.waitFor(() => expect(snapshot()).toMatchObject({ state: 'ended', endedBy: 'peer_lost' }));
    expect(sideband.socket.readyState).toBe(sideband.socket.OPEN);
    const late = await hangUp(provider.url, callId, secret);
    expect(late.status).toBe(404);
    expect(await late.json()).toMatchObject({ error: { code: 'call_id_not_found' } });
  });

  it('continues without its sideband; another one can attach and receives later events', async () => {
    const provider = await start();
    const peer = candidate();
    const { sideband, snapshot, callId, secret } = await interview(provider, peer);
    await sideband.event('output_audio_buffer.stopped');
    expect(provider.script.cutSidebands(callId)).toBe(1);
    await sideband.closed;
    const second = await attach(provider, callId, secret);
    peer.speak(100);
    await second.event('response.created');
    expect(typesOf(second.events)[0]).toBe('input_audio_buffer.speech_started');
    expect(snapshot()).toMatchObject({ state: 'live' });
  });

  it('can be lost by the provider itself', async () => {
    const provider = await start();
    const peer = candidate();
    const { sideband, callId, snapshot } = await interview(provider, peer);
    await provider.script.loseCall(callId);
    expect((await sideband.closed).code).toBe(1006);
    await peer.closed;
    expect(snapshot()).toMatchObject({ state: 'ended', endedBy: 'provider_lost' });
  });
});

describe('the sideband', () => {
  it('is refused with 404 to every credential but the one that created the call', async () => {
    const provider = await start();
    const secret = await mint(provider);
    const callId = await openCall(provider, candidate(), secret);
    const notFound = { message: '404', body: { error: { code: 'call_id_not_found' } } };
    await expect(attach(provider, callId, provider.apiKey)).rejects.toMatchObject(notFound);
    await expect(attach(provider, callId, await mint(provider))).rejects.toMatchObject(notFound);
    await expect(attach(provider, 'rtc_nobody', secret)).rejects.toMatchObject(notFound);
    await expect(attach(provider, callId, 'ek_unknown')).rejects.toMatchObject({ message: '401' });
    await attach(provider, callId, secret);
  });

  it('answers an update with the whole session, and a refused or unknown event with an error to the sender alone', async () => {
    const provider = await start();
    const seen: WireEvent[] = [];
    const peer = candidate({ onEvent: (event) => seen.push(event) });
    const secret = await mint(provider);
    const callId = await openCall(provider, peer, secret);
    const sideband = await attach(provider, callId, secret);
    await peer.connected;
    sideband.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Be brief.' } });
    const updated = await sideband.event('session.updated');
    expect(updated.session).toMatchObject({
      id: callId.replace('rtc_', 'sess_'),
      instructions: 'Be brief.',
      tools: session.tools,
      audio: { input: { transcription: { model: 'gpt-transcribe' }, turn_detection: { silence_duration_ms: 200 } } },
    });
    sideband.send({ type: 'session.update', session: { model: 'another' } });
    sideband.send({ type: 'nonsense', event_id: 'mine' });
    sideband.send({ type: 'conversation.item.retrieve', item_id: 'item_none' });
    sideband.send({ type: 'response.cancel' });
    await sideband.event('error', 4);
    const errors = sideband.events.filter((event) => event.type === 'error').map((event) => event.error);
    expect(errors).toMatchObject([
      { param: 'session.model' },
      { param: 'type', event_id: 'mine' },
      { code: 'item_not_found' },
      { code: 'response_cancel_not_active' },
    ]);
    await vi.waitFor(() => expect(typesOf(seen)).toContain('session.updated'));
    expect(typesOf(seen)).not.toContain('error');
  });

  it('also accepts events from a browser on the data channel', async () => {
    const provider = await start();
    const peer = candidate();
    const secret = await mint(provider);
    const callId = await openCall(provider, peer, secret);
    const sideband = await attach(provider, callId, secret);
    await peer.connected;
    peer.send({ type: 'session.update', session: { instructions: 'Praise the candidate.' } });
    await sideband.event('session.updated');
    expect(provider.calls()[0]?.session.instructions).toBe('Praise the candidate.');
  });

  it('answers with the recorded "busy" error when a response is requested twice', async () => {
    const provider = await start();
    const { sideband } = await interview(provider, candidate());
    await sideband.event('response.created');
    sideband.send({ type: 'response.create' });
    const error = await sideband.event('error');
    expect(error.error).toMatchObject({ code: 'conversation_already_has_active_response' });
  });
});

describe('faults on the sideband', () => {
  async function withCue(name: string, value?: unknown) {
    const provider = await start();
    provider.faults.add({ on: 'realtime.sideband', action: { kind: 'special', name, value } });
    const peer = candidate({ autoAnswer: true });
    return { ...(await interview(provider, peer)), provider, peer };
  }

  it('can be cut after a number of events while the call continues', async () => {
    const { sideband, snapshot } = await withCue('drop_after_events', 3);
    expect((await sideband.closed).code).toBe(1006);
    expect(sideband.events).toHaveLength(3);
    expect(snapshot()).toMatchObject({ state: 'live' });
  });

  it('can be silent: not even the reply to an update comes', async () => {
    const { sideband, snapshot } = await withCue('silent');
    sideband.send({ type: 'session.update', session: { instructions: 'Be brief.' } });
    await vi.waitFor(() => expect(snapshot()?.session.instructions).toBe('Be brief.'));
    await vi.waitFor(() => expect(snapshot()?.phase).toBe('listening'));
    expect(sideband.events).toEqual([]);
  });

  it('can deliver each event twice, or neighbours in the wrong order', async () => {
    const twice = await withCue('duplicate_events');
    await twice.sideband.event('response.done', 2);
    expect(twice.sideband.events[0]).toEqual(twice.sideband.events[1]);
    const swapped = await withCue('reorder_events');
    await swapped.sideband.event('response.created');
    expect(typesOf(swapped.sideband.events).slice(0, 2)).toEqual(['response.output_item.added', 'response.created']);
  });

  it('can leave out the previous item in `conversation.item.done`, never in `.added`', async () => {
    const { sideband } = await withCue('done_without_previous');
    await sideband.event('response.done', 2);
    const of = (type: string) =>
      sideband.events.filter((e) => e.type === type && (e.item as { role: string }).role === 'assistant')[1];
    expect(of('conversation.item.done')?.previous_item_id).toBeNull();
    expect(of('conversation.item.added')?.previous_item_id).not.toBeNull();
  });

  it('can be refused, or cut at the upgrade', async () => {
    const provider = await start();
    const secret = await mint(provider);
    const callId = await openCall(provider, candidate(), secret);
    provider.faults.add({ on: 'realtime.sideband', action: { kind: 'status', status: 429 } });
    await expect(attach(provider, callId, secret)).rejects.toMatchObject({ message: '429' });
    provider.faults.add({ on: 'realtime.sideband', action: { kind: 'drop_before' } });
    await expect(attach(provider, callId, secret)).rejects.toThrow();
    await attach(provider, callId, secret);
  });
});
