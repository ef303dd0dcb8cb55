import { createRoot } from 'react-dom/client';
import { de } from '../react/de.ts';
import { en } from '../react/en.ts';
import { InterviewRoom } from '../react/room.tsx';

/** The candidate's page: the components of the package, built on preact/compat. */
const messages = navigator.language.toLowerCase().startsWith('de') ? de : en;

createRoot(document.getElementById('room') as HTMLElement).render(
  <InterviewRoom
    link={location.href}
    messages={messages}
    onEnded={({ outcome, reason }) => {
      document.body.dataset.ended = `${outcome}/${reason}`;
    }}
    onDelivered={(left) => {
      document.body.dataset.kept = String(left);
    }}
  />,
);
