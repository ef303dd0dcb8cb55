import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { isEnded } from '@greenroom/shared/session/states.ts';
import type { SeededTenant } from '../stack/seed.ts';
import type { Stack } from '../stack/stack.ts';
import { joinInBrowser } from './browser.ts';
import { startCandidate } from './interview.ts';
import type { DemoOptions } from './options.ts';
import { createPlatform, type Platform } from './platform.ts';
import type { Timeline } from './timeline.ts';

/** The result of one demo interview, as `--json` prints it. */
export interface DemoSummary {
  ok: boolean;
  session_id: string;
  status: string;
  reason: string | null;
  region: string | null;
  websocket_url: string;
  machines: Array<{ fly_machine_id: string; epoch: number; state: string }>;
  transcript: { entries: number; speakers: string[] };
  result: { status: string; summary: string | null; evaluation: unknown };
  timings_ms: Record<
    'accepted' | 'ready' | 'socket_open' | 'sdp_answered' | 'first_entry' | 'ended' | 'machine_gone',
    number | null
  >;
  processes_left: number;
}

/** Adds the session's server events to the timeline until its machine is gone. */
async function followEvents(
  platform: Platform,
  sessionId: string,
  timeline: Timeline,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of platform.events(sessionId, signal)) {
      const detail = ['region', 'attempt', 'outcome', 'reason']
        .flatMap((name) => (event.data[name] === undefined ? [] : [`${name} ${String(event.data[name])}`]))
        .join(', ');
      timeline.mark(event.type, detail);
    }
  } catch (error) {
    if (!signal.aborted) timeline.mark('events_lost', (error as Error).message);
  }
}

/** Runs the candidate: headless, or a real Chromium that opens the join link. */
async function takePart(session: SessionView, options: DemoOptions, timeline: Timeline): Promise<string> {
  if (options.headed) return joinInBrowser(session.join_url ?? '', (step, detail) => timeline.mark(step, detail));
  const { ended } = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token ?? '',
    onStep: (step, detail) => timeline.mark(step, detail),
  });
  const end = await ended;
  return `${end.outcome}/${end.reason}`;
}

export interface Player {
  /** Default: the stack's own. */
  tenant?: SeededTenant;
  onAccepted?: (session: SessionView) => void;
}

/** Runs one interview from the API call to the destruction of its machine. Throws if a step does not happen. */
export async function runInterview(
  stack: Stack,
  options: DemoOptions,
  timeline: Timeline,
  { tenant = stack.tenant, onAccepted = () => undefined }: Player = {},
): Promise<Omit<DemoSummary, 'processes_left'>> {
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const watching = new AbortController();
  timeline.mark('post', 'POST /api/sessions');
  const session = await platform.createSession(
    {
      candidate: { name: 'Ada Lovelace', email: 'ada@example.com' },
      position: { title: 'Backend engineer', description: 'Distributed systems in TypeScript.' },
      region: options.region,
    },
    { 'idempotency-key': `demo-${process.pid}-${performance.now()}` },
  );
  timeline.mark('accepted', `session ${session.session_id}, ${session.status}`);
  onAccepted(session);
  const events = followEvents(platform, session.session_id, timeline, watching.signal);
  const limitMs = 60_000 + options.turns * (options.paceMs * 4 + 4_000);
  try {
    const end = await takePart(session, options, timeline);
    timeline.mark('candidate_ended', end);
    const ended = await platform.waitFor(session.session_id, (s) => isEnded(s.status), limitMs);
    timeline.mark('ended', `${ended.outcome}: ${ended.reason_text}`);
    const machines = await goneMachines(stack, ended, 30_000);
    timeline.mark('machine_gone', machines.map((m) => m.fly_machine_id).join(', '));
    const transcript = await platform.transcript(session.session_id);
    const result = await platform.result(session.session_id, 30_000);
    timeline.mark('evaluated', result.status);
    const spoken = transcript.entries.length > 0 && new Set(transcript.entries.map((e) => e.speaker)).size === 2;
    return {
      ok:
        ended.status === 'completed' &&
        spoken &&
        transcript.complete &&
        machines.length > 0 &&
        result.status === 'done',
      session_id: session.session_id,
      status: ended.status,
      reason: ended.reason,
      region: ended.region,
      websocket_url: session.websocket_url,
      machines: machines.map((m) => ({ ...m, epoch: ended.epoch })),
      transcript: {
        entries: transcript.entries.length,
        speakers: [...new Set(transcript.entries.map((entry) => entry.speaker))].sort(),
      },
      result: { status: result.status, summary: result.summary, evaluation: result.evaluation },
      timings_ms: {
        accepted: timeline.at('accepted'),
        ready: timeline.at(session.status === 'ready' ? 'accepted' : 'session.ready'),
        socket_open: timeline.at('socket_open'),
        sdp_answered: timeline.at('sdp_answered'),
        first_entry: timeline.at('said'),
        ended: timeline.at('ended'),
        machine_gone: timeline.at('machine_gone'),
      },
    };
  } finally {
    watching.abort();
    await events;
  }
}

/** Waits until Fly says that every machine of the session is destroyed, and names them. */
async function goneMachines(stack: Stack, session: SessionView, limitMs: number) {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    const machines = stack.cloud.fly
      .machines({ includeDestroyed: true })
      // A hot machine was created before there was a session to name.
      .filter((m) => m.id === session.fly_machine_id || m.metadata.session_id === session.session_id);
    if (machines.length > 0 && machines.every((m) => m.state === 'destroyed')) {
      return machines.map((m) => ({ fly_machine_id: m.id, state: m.state }));
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`machines are left after ${limitMs} ms: ${machines.map((m) => `${m.id} ${m.state}`).join(', ')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
