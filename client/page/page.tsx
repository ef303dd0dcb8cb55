import { createRoot } from 'react-dom/client';
import { de } from '../react/de.ts';
import { en } from '../react/en.ts';
import { InterviewProvider, InterviewScreens } from '../react/room.tsx';
import { createInterview } from '../src/interview.ts';

/**
 * The candidate's page: the components of the package, built on preact/compat. The invitation is requested before anything is
 * drawn, so that the page is drawn while it waits for the answer.
 */
const messages = navigator.language.toLowerCase().startsWith('de') ? de : en;
const interview = createInterview({ link: location.href });
interview.on('ended', ({ outcome, reason }) => {
  document.body.dataset.ended = `${outcome}/${reason}`;
});
interview.on('delivered', ({ left }) => {
  document.body.dataset.kept = String(left);
});
const looking = interview.look();
// `InterviewScreens` shows the error.
looking.catch(() => undefined);

createRoot(document.getElementById('room') as HTMLElement).render(
  <InterviewProvider interview={interview} messages={messages}>
    <InterviewScreens looking={looking} />
  </InterviewProvider>,
);
