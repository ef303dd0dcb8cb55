import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { createBrowserPeer } from '../browser-peer.ts';
import { browserSecret, browserStorage } from '../browser-storage.ts';
import { createInterviewClient, type InterviewClient, type InterviewState } from '../interview-client.ts';
import { createJoinApi, type Invitation, type JoinAnswer, type Joined } from '../join-api.ts';
import { createKeptEntries } from '../kept-entries.ts';
import { createMicrophone } from '../microphone.ts';
import { createPlayback } from '../playback.ts';
import { createProblems, type ProblemCode, problemCodes } from '../problems.ts';
import { uploadLeftovers } from '../upload.ts';

/** The candidate's plain page: an invitation in the URL's fragment, one button, the conversation. */

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const say = (text: string) => {
  element('status').textContent = text;
};

/** What the candidate is told: what happened, and what to do now. */
const problemTexts: Record<ProblemCode, string> = {
  unsupported: 'This browser cannot make calls. Chrome, Edge, Firefox or Safari of the last two years can.',
  microphone_denied: 'Your browser does not let this page use the microphone. Allow it, then continue.',
  microphone_missing: 'We found no microphone. Plug one in, or open the link on your phone.',
  microphone_busy: 'Another program is using your microphone. Close it, then continue.',
  microphone_lost: 'Your microphone was disconnected. Plug one in: the interview goes on by itself.',
  microphone_muted: 'Your device has muted the microphone. A phone call may be holding it.',
  audio_blocked: 'Your browser is holding the sound back.',
  call_failed: 'You are not heard right now. We are bringing the connection back; what you said is safe.',
  call_blocked: 'No sound gets through your network. Use another network, such as your phone, then try again.',
  service_unavailable: 'Something went wrong on our side. Keep this page open: we try again in a minute at the latest.',
  storage_blocked: 'Your browser keeps nothing for us. Please do not reload during the interview.',
};
/** The one button beside a problem. Codes without one are solved outside the page. */
const actTexts: Partial<Record<ProblemCode, string>> = {
  audio_blocked: 'Turn on sound',
  microphone_lost: 'Try again',
  microphone_muted: 'Try again',
  call_blocked: 'Try again',
  service_unavailable: 'Try now',
  storage_blocked: 'OK',
};
const acts = new Map<ProblemCode, () => void>();
const problems = createProblems((code) => showProblem(code === null ? '' : problemTexts[code], code));

function showProblem(text: string, code: ProblemCode | null = null): void {
  element('problem-text').textContent = text;
  element('problem').hidden = text === '';
  const act = element<HTMLButtonElement>('act');
  act.textContent = (code && actTexts[code]) ?? '';
  act.hidden = act.textContent === '';
  act.onclick = () => code && acts.get(code)?.();
}

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
  candidate_silent: 'The time is up, and nothing was heard of you. Please contact your organiser.',
  ended_by_platform: 'The interview was ended by the organiser.',
  token_refused: 'This link is not valid any more. Please ask for a new one.',
  unknown_session: 'This interview does not exist. Please check your link.',
  call_not_established:
    'No sound got through your network, so the interview could not begin. Ask your organiser for a new link and use another network, such as your phone.',
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
  not_joinable: 'It is too early to join. This page opens by itself when it is time.',
};

/** A reason to stop here, in words for the candidate. */
class Refused extends Error {}

const storage = browserStorage();
const invitation: Invitation = {
  session_id: location.pathname.split('/').at(-1) ?? '',
  code: location.hash.slice(1),
  browser: browserSecret(storage, history),
};
const api = createJoinApi('');

/** Hands in what earlier pages could not. @param except the session that goes on */
function handInLeftovers(except?: string): void {
  if (storage) void uploadLeftovers(storage, { except, nowMs: Date.now() });
}

const longestWaitMs = 60_000;

/** Waits until it is time for another try, or the candidate asks for it. */
const pause = (ms: number) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    acts.set('service_unavailable', () => {
      clearTimeout(timer);
      resolve();
    });
    addEventListener('online', () => resolve(), { once: true });
  });

/** Asks until the service itself answers. A refusal that does not pass ends it. */
async function ask<T>(request: () => Promise<JoinAnswer<T>>): Promise<T | 'consent_required'> {
  for (let tries = 0; ; tries += 1) {
    const answer = await request();
    if (answer.kind === 'done') {
      problems.settle('service_unavailable');
      return answer.body;
    }
    if (answer.kind === 'refused' && answer.code === 'consent_required') return 'consent_required';
    if (answer.kind === 'refused' && !answer.passing) throw new Refused(joinTexts[answer.code]);
    const early = answer.kind === 'refused' && answer.code === 'not_joinable';
    if (early) say(joinTexts.not_joinable ?? '');
    else problems.raise('service_unavailable');
    const wishMs = answer.kind === 'refused' ? (answer.retryAfterMs ?? 0) : 0;
    await pause(Math.min(longestWaitMs, Math.max(wishMs, 2_000 * 2 ** tries)));
  }
}

/** Shows what the organiser asks the candidate to agree to, and records the agreement. */
async function askConsent(): Promise<void> {
  const asked = await ask(() => api.askedConsent(invitation));
  if (asked === 'consent_required') return;
  element('consent-text').textContent =
    asked.text ?? `The organiser asks for your consent to its terms, version ${asked.text_version}.`;
  element('consent').hidden = false;
  say('Please read this before the interview.');
  await new Promise((resolve) => element('agree').addEventListener('click', resolve, { once: true }));
  await ask(() => api.giveConsent(invitation, asked.text_version));
  element('consent').hidden = true;
}

async function join(): Promise<Joined> {
  const joined = await ask(() => api.join(invitation));
  if (joined !== 'consent_required') return joined;
  await askConsent();
  return join();
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
  const microphone = createMicrophone({ problems });
  await microphone.open().catch((error: unknown) => {
    microphone.close();
    throw error;
  });
  const playback = createPlayback({ problems, audio: new Audio() });
  const client = createInterviewClient({
    websocketUrl: joined.websocket_url,
    joinToken: joined.join_token,
    createPeer: () => createBrowserPeer({ microphone, playback }),
    kept: createKeptEntries(joined.session_id, storage),
    onState: (state) => say(stateTexts[state]),
    onEntry: show,
    onProblem: (code) => isProblem(code) && problems.raise(code),
    onProblemOver: (code) => isProblem(code) && problems.settle(code),
    onWarning: (endsAt) => say(`The interview ends at ${new Date(endsAt).toLocaleTimeString()}.`),
    onEnd: ({ outcome, reason }) => {
      microphone.close();
      playback.stop();
      problems.settle(...problemCodes);
      element('end').hidden = true;
      document.body.dataset.ended = `${outcome}/${reason}`;
      say(endTexts[reason] ?? 'The interview ended because of a technical problem. Your organiser will be in touch.');
    },
    onDelivered: (left) => {
      document.body.dataset.kept = String(left);
    },
  });
  const again = () => void microphone.open().catch(() => undefined);
  acts.set('microphone_lost', again).set('microphone_muted', again);
  acts.set('audio_blocked', () => void playback.resume());
  acts.set('call_blocked', () => client.callAgain());
  client.connect();
  return client;
}

const isProblem = (code: string): code is ProblemCode => (problemCodes as readonly string[]).includes(code);

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
  if (!storage) problems.raise('storage_blocked');
  acts.set('storage_blocked', () => problems.settle('storage_blocked'));
  const startButton = element<HTMLButtonElement>('start');
  const endButton = element<HTMLButtonElement>('end');
  startButton.disabled = false;
  startButton.addEventListener('click', async () => {
    startButton.hidden = true;
    // Its code is shown already.
    const client = await start(joined).catch(() => undefined);
    startButton.hidden = client !== undefined;
    endButton.hidden = client === undefined;
    if (client) endButton.addEventListener('click', () => client.end());
  });
}

main().catch((error: unknown) => {
  say('');
  const told = error instanceof Refused ? error.message : '';
  showProblem(told || 'Something went wrong on our side. Please reload the page in a minute.');
});
