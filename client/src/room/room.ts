import { createInterview, InterviewError, type Invitation, type ProblemCode, type Status } from '../index.ts';
import type { TranscriptLine } from '../types.ts';

/** The candidate's plain page: an invitation in the URL's fragment, one button, the conversation. */

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const say = (text: string) => {
  element('status').textContent = text;
};

/** What the candidate is told: what happened, and what to do now. */
const problemTexts: Record<ProblemCode, string> = {
  link_incomplete: 'Part of the invitation link is missing. Open it from the invitation again.',
  link_dead: 'This invitation link no longer works. Please ask for a new one.',
  used_elsewhere:
    'This invitation was already used in another browser. Please use that one, or ask for a new invitation.',
  session_over: 'This interview is over.',
  consent_required: 'Your consent is missing. Please reload this page and read what the organiser asks.',
  too_early: 'It is too early to join. This page opens by itself when it is time.',
  socket_lost: 'The interviewer still hears you. Saving catches up when the network is back.',
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
function showProblem(text: string, code: ProblemCode | null = null): void {
  element('problem-text').textContent = text;
  element('problem').hidden = text === '';
  const act = element<HTMLButtonElement>('act');
  act.textContent = (code && actTexts[code]) ?? '';
  act.hidden = act.textContent === '';
}

const statusText = (status: Status): string => {
  switch (status.name) {
    case 'idle':
      return 'Ready when you are.';
    case 'waiting':
      return status.for === 'start_time' ? problemTexts.too_early : 'Preparing your interview …';
    case 'joining':
    case 'connecting':
      return 'Connecting …';
    case 'live':
      return 'The interview is running. Speak freely.';
    case 'reconnecting':
      return 'You are not heard right now. Reconnecting by itself …';
    case 'ending':
      return 'Ending the interview …';
    case 'ended':
      return (
        endTexts[status.reason] ??
        'The interview ended because of a technical problem. Your organiser will be in touch.'
      );
  }
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

const interview = createInterview({ link: location.href });

/** Shows what the organiser asks the candidate to agree to, and records the agreement. */
async function askConsent({ textVersion, text }: NonNullable<Invitation['consent']>): Promise<void> {
  element('consent-text').textContent =
    text ?? `The organiser asks for your consent to its terms, version ${textVersion}.`;
  element('consent').hidden = false;
  say('Please read this before the interview.');
  await new Promise((resolve) => element('agree').addEventListener('click', resolve, { once: true }));
  await interview.consent(textVersion);
  element('consent').hidden = true;
}

/** Draws the lines that have changed. */
function drawTranscript(lines: readonly TranscriptLine[]): void {
  const list = element('transcript');
  lines.forEach((line, index) => {
    const id = `entry-${line.ordinal}-${line.item_id}`;
    const shown = document.getElementById(id) ?? document.createElement('li');
    shown.id = id;
    shown.className = `${line.speaker}${line.final ? '' : ' partial'}`;
    if (shown.dataset.text !== line.text) {
      shown.dataset.text = line.text;
      const name = document.createElement('b');
      name.textContent = line.speaker === 'ai' ? 'Interviewer' : 'You';
      shown.replaceChildren(name, line.text);
    }
    if (list.children[index] !== shown) list.insertBefore(shown, list.children[index] ?? null);
  });
  while (list.children.length > lines.length) list.lastElementChild?.remove();
}

let drawn = interview.snapshot;
function draw(): void {
  const before = drawn;
  const now = interview.snapshot;
  drawn = now;
  if (now.status !== before.status) say(statusText(now.status));
  if (now.problem !== before.problem) showProblem(now.problem === null ? '' : problemTexts[now.problem], now.problem);
  if (now.transcript !== before.transcript) drawTranscript(now.transcript);
}

async function start(startButton: HTMLButtonElement): Promise<void> {
  const endButton = element<HTMLButtonElement>('end');
  startButton.hidden = true;
  endButton.hidden = false;
  // Why it was not possible is shown already.
  const joined = await interview.join().then(
    () => true,
    () => false,
  );
  if (joined || interview.snapshot.status.name === 'ended') return;
  startButton.hidden = false;
  endButton.hidden = true;
}

async function main(): Promise<void> {
  interview.subscribe(draw);
  interview.on('warning', ({ endsAt }) => say(`The interview ends at ${new Date(endsAt).toLocaleTimeString()}.`));
  interview.on('ended', ({ outcome, reason }) => {
    element('end').hidden = true;
    document.body.dataset.ended = `${outcome}/${reason}`;
  });
  interview.on('delivered', ({ left }) => {
    document.body.dataset.kept = String(left);
  });
  element('act').addEventListener('click', () => interview.retry());
  element('end').addEventListener('click', () => void interview.end());

  const invitation = await interview.look();
  element('title').textContent = invitation.position;
  element('greeting').textContent = `Hello ${invitation.candidate}. Find a quiet place and allow the microphone.`;
  element('simulated').hidden = !invitation.simulated;
  if (invitation.bound === 'elsewhere') return say('');
  if (invitation.consent && !invitation.consent.isGiven) await askConsent(invitation.consent);
  say(statusText(interview.snapshot.status));
  const startButton = element<HTMLButtonElement>('start');
  startButton.disabled = false;
  startButton.addEventListener('click', () => void start(startButton));
}

main().catch((error: unknown) => {
  say('');
  if (!(error instanceof InterviewError))
    showProblem('Something went wrong on our side. Please reload the page in a minute.');
});
