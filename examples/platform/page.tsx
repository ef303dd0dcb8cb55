import { InterviewRoom } from '@greenroom/client/react';
import { type FormEvent, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

/** The recruiter's form, then the candidate's room, then the result. */
interface Evaluation {
  status: string;
  summary: string | null;
  evaluation: { recommendation: string } | null;
}
interface Created {
  id: string;
  join_url: string;
}

const pollMs = 1_000;

function NewInterview({ onCreated }: { onCreated(created: Created): void }) {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const create = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    const body = JSON.stringify(Object.fromEntries(new FormData(event.currentTarget)));
    const answer = await fetch('/interviews', { method: 'POST', body }).catch(() => undefined);
    const json = await answer?.json();
    if (answer?.ok) onCreated(json);
    else {
      setProblem(json?.message ?? 'Please try again.');
      setBusy(false);
    }
  };
  return (
    <form onSubmit={create}>
      <h1>New interview</h1>
      <label>
        Candidate <input name="candidate" required />
      </label>{' '}
      <label>
        Position <input name="position" required />
      </label>{' '}
      <button type="submit" disabled={busy}>
        Begin
      </button>
      <p role="alert">{problem}</p>
    </form>
  );
}

function Result({ id }: { id: string }) {
  const [result, setResult] = useState<Evaluation | null>(null);
  useEffect(() => {
    const timer = setInterval(async () => {
      const answer = await fetch(`/interviews/${id}`).catch(() => undefined);
      const found = answer?.ok ? (await answer.json()).result : null;
      if (!found) return;
      setResult(found);
      clearInterval(timer);
    }, pollMs);
    return () => clearInterval(timer);
  }, [id]);
  if (!result) return null;
  return (
    <section>
      <h2>Result: {result.evaluation?.recommendation.replaceAll('_', ' ') ?? result.status}</h2>
      <p>{result.summary}</p>
    </section>
  );
}

function App() {
  const [interview, setInterview] = useState<Created>();
  if (!interview) return <NewInterview onCreated={setInterview} />;
  return (
    <>
      <InterviewRoom link={interview.join_url} />
      <Result id={interview.id} />
    </>
  );
}

createRoot(document.getElementById('app') as HTMLElement).render(<App />);
