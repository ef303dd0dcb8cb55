import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { createBrowserPeer } from '../browser-peer.ts';
import { createInterviewClient, type InterviewClient, type InterviewState } from '../interview-client.ts';
import { createKeptEntries, type EntryStorage } from '../kept-entries.ts';
import { uploadLeftovers } from '../upload.ts';

/** The candidate's plain page: an invitation in the URL's fragment, one button, the conversation. */

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const say = (text: string) => {
  element('status').textContent = text;
};
const complain = (text: string) => {
  const problem = element('problem');
  problem.textContent = text;
  problem.hidden = false;
};

const stateTexts: Record<InterviewState, string> = {
  connecting: 'Connecting …',
  ready: 'Connected. Preparing the call …',
  calling: 'Calling the interviewer …',
  live: 'The interview is running. Speak freely.',
  reconnecting: 'The connection was interrupted. Reconnecting by itself …',
  ended: 'The interview is over.',
};

const endTexts: Record<string, string> = {
  ended_by_candidate: 'You ended the interview. Thank you for your time.',
  interviewer_finished: 'The interview is finished. Thank you for your time.',
  max_duration: 'The time is up. Thank you for your time.',
  ended_by_platform: 'The interview was ended by the organiser.',
  token_refused: 'This link is not valid any more. Please ask for a new one.',
  unknown_session: 'This interview does not exist. Please check your link.',
  already_ended: 'This interview is over.',
  unreachable: 'The connection could not be made again. What was said is kept. Your organiser will be in touch.',
  opened_elsewhere: 'The interview was opened in another tab or on another device.',
};

/** What a candidate is told when the invitation cannot be used, by the API's error code. */
const joinTexts: Record<string, string> = {
  validation_failed: 'This invitation link is not complete. Please open it again from your invitation, as a whole.',
  not_found: 'This invitation link is not valid. Please check it, or ask for a new one.',
  invitation_invalid: 'This invitation link is not valid any more. Please ask for a new one.',
  invitation_used:
    'This invitation was already used in another browser. Please use that one, or ask for a new invitation.',
  session_ended: 'This interview is over.',
  not_joinable: 'It is too early to join. Please come back shortly before your interview begins.',
};

interface Joined {
  session_id: string;
  websocket_url: string;
  join_token: string;
  simulated: boolean;
  interview_context: { position: { title: string }; candidate: { name: string } };
}

/** Undefined where a browser keeps nothing for us. */
function storage(): EntryStorage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

/** Hands in what earlier pages could not. @param except the session that goes on */
function handInLeftovers(except?: string): void {
  const kept = storage();
  if (kept) void uploadLeftovers(kept, { except, nowMs: Date.now() });
}

/** A secret of this browser: it alone may use the invitation again after a reload. */
function browserSecret(): string {
  const known = localStorage.getItem('greenroom.browser');
  if (known) return known;
  const made = crypto.randomUUID() + crypto.randomUUID();
  localStorage.setItem('greenroom.browser', made);
  return made;
}

/** What this page was opened with. */
const invitation = () => ({
  session_id: location.pathname.split('/').at(-1) ?? '',
  code: location.hash.slice(1),
  browser: browserSecret(),
});

async function post(path: string, body: unknown): Promise<Response> {
  return fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** Shows what the organiser asks the candidate to agree to, and records the agreement. */
async function askConsent(): Promise<void> {
  const { session_id, code } = invitation();
  const answer = await fetch(`/api/join/consent?session_id=${session_id}`, {
    headers: { 'greenroom-invitation': code },
  });
  const asked = (await answer.json()) as { text: string | null; text_version: string };
  element('consent-text').textContent =
    asked.text ?? `The organiser asks for your consent to its terms, version ${asked.text_version}.`;
  element('consent').hidden = false;
  say('Please read this before the interview.');
  await new Promise((resolve) => element('agree').addEventListener('click', resolve, { once: true }));
  const recorded = await post('/api/join/consent', { ...invitation(), text_version: asked.text_version });
  if (!recorded.ok) throw new Error('Your consent could not be recorded. Please reload the page and try again.');
  element('consent').hidden = true;
}

async function join(): Promise<Joined> {
  const answer = await post('/api/join', invitation());
  const body = (await answer.json()) as Joined & { code?: string };
  if (body.code === 'consent_required') {
    await askConsent();
    return join();
  }
  if (!answer.ok) {
    throw new Error(joinTexts[body.code ?? ''] ?? 'Something went wrong on our side. Please try again in a minute.');
  }
  return body;
}

/** Shows an entry, or the newer text of one that is shown already. */
function show(entry: TranscriptEntry, final: boolean): void {
  const id = `entry-${entry.ordinal}-${entry.item_id}`;
  const known = document.getElementById(id);
  if (entry.text === '') {
    known?.remove();
    return;
  }
  const line = known ?? document.createElement('li');
  line.id = id;
  line.className = `${entry.speaker}${final ? '' : ' partial'}`;
  const name = document.createElement('b');
  name.textContent = entry.speaker === 'ai' ? 'Interviewer' : 'You';
  line.replaceChildren(name, entry.text);
  const before = entry.previous_item_id && document.getElementById(`entry-${entry.ordinal}-${entry.previous_item_id}`);
  if (!known && before) before.after(line);
  else if (!known) element('transcript').append(line);
}

async function start(joined: Joined): Promise<InterviewClient> {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const client = createInterviewClient({
    websocketUrl: joined.websocket_url,
    joinToken: joined.join_token,
    createPeer: () => createBrowserPeer({ microphone, audio: new Audio() }),
    kept: createKeptEntries(joined.session_id, storage()),
    onState: (state) => say(stateTexts[state]),
    onEntry: show,
    onProblem: (_code, message) => complain(message),
    onWarning: (endsAt) => complain(`The interview ends at ${new Date(endsAt).toLocaleTimeString()}.`),
    onEnd: ({ outcome, reason }) => {
      for (const track of microphone.getTracks()) track.stop();
      element('end').hidden = true;
      document.body.dataset.ended = `${outcome}/${reason}`;
      say(endTexts[reason] ?? 'The interview ended because of a technical problem. Your organiser will be in touch.');
    },
    onDelivered: (left) => {
      document.body.dataset.kept = String(left);
    },
  });
  client.connect();
  return client;
}

async function main(): Promise<void> {
  const joined = await join().catch((error: unknown) => {
    handInLeftovers();
    throw error;
  });
  handInLeftovers(joined.session_id);
  element('title').textContent = joined.interview_context.position.title;
  element('greeting').textContent =
    `Hello ${joined.interview_context.candidate.name}. Find a quiet place and allow the microphone.`;
  element('simulated').hidden = !joined.simulated;
  say('Ready when you are.');
  const startButton = element<HTMLButtonElement>('start');
  const endButton = element<HTMLButtonElement>('end');
  startButton.disabled = false;
  startButton.addEventListener('click', async () => {
    startButton.hidden = true;
    try {
      const client = await start(joined);
      endButton.hidden = false;
      endButton.addEventListener('click', () => client.end());
    } catch (error) {
      startButton.hidden = false;
      complain(`The microphone could not be used: ${(error as Error).message}. Allow it and try again.`);
    }
  });
}

main().catch((error: Error) => {
  say('');
  complain(error.message);
});
