import { useQueryClient } from '@tanstack/react-query';
import {
  createContext,
  type FormEvent,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useState,
} from 'react';
import type { OperatorRole, Plan } from './answers.ts';
import { ApiError, send } from './api.ts';
import { plural, usd } from './format.ts';
import { drawAtOnce } from './redraws.ts';
import { onRefused, useRefusal } from './session.tsx';

/**
 * Acts of operators. Each opens a dialog that shows what would happen (the API's dry run), asks why, and says how to undo it.
 * To stop live interviews, the operator must type how many there are.
 */
export interface Act {
  /** The button, such as "End". */
  verb: string;
  /** The objects of the act. One request is sent for each. */
  on: Array<{ name: string; path: string; body?: object }>;
  method?: 'POST' | 'PUT';
  role?: OperatorRole;
  danger?: boolean;
  onDone?: () => void;
}

type Answer = Plan & { done: boolean };
type Outcome = { name: string; plan: Answer } | { name: string; error: ApiError };

const OpenContext = createContext<(act: Act) => void>(() => undefined);
const atOnce = 4;

/** Sends the requests of an act, a few at once, and keeps each answer. */
async function sendAll(
  { on, method = 'POST' }: Act,
  why: string,
  dryRun: boolean,
  onEach: (count: number) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = [...on.entries()];
  const one = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [at, { name, path, body }] = next;
      try {
        const plan = await send<Answer>(method, `${path}${dryRun ? '?dry_run=true' : ''}`, { ...body, why });
        outcomes[at] = { name, plan };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        outcomes[at] = { name, error };
      }
      onEach(on.length - waiting.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, on.length) }, one));
  return outcomes;
}

const plansOf = (outcomes: Outcome[]): Answer[] => outcomes.flatMap((one) => ('plan' in one ? [one.plan] : []));
const sum = (plans: Answer[], of: (plan: Answer) => number): number =>
  plans.reduce((total, plan) => total + of(plan), 0);
const unique = (texts: string[]): string[] => [...new Set(texts)];

/** A notice for each request that was refused. */
function Refusals({ outcomes }: { outcomes: Outcome[] }) {
  return outcomes.map(
    (one) =>
      'error' in one && (
        <p key={one.name} className="notice" data-tone={one.error.already ? 'warn' : 'bad'}>
          {outcomes.length > 1 && `${one.name}: `}
          {one.error.message}
        </p>
      ),
  );
}

function Effect({ outcomes }: { outcomes: Outcome[] }) {
  const plans = plansOf(outcomes);
  const dollars = sum(plans, ({ usd_per_day: cost }) => cost ?? 0);
  const undo = unique(plans.map(({ undo: how }) => (how === null ? 'This cannot be undone.' : `Undo: ${how}`)));
  return (
    <>
      {plans.length > 0 && (
        <ul>
          {unique(plans.flatMap(({ effect }) => effect))
            .slice(0, 8)
            .map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
        </ul>
      )}
      {plans.length > 0 && (
        <p>
          Affects{' '}
          {plural(
            sum(plans, ({ affected }) => affected.sessions),
            'session',
          )}
          ,{' '}
          {plural(
            sum(plans, ({ affected }) => affected.candidates_live),
            'live candidate',
          )}{' '}
          and{' '}
          {plural(
            sum(plans, ({ affected }) => affected.machines),
            'machine',
          )}
          .{dollars !== 0 && ` Changes the cost by ${usd(dollars)} a day.`}
        </p>
      )}
      {plans.length > 0 && <p className="soft">{undo.join(' ')}</p>}
      <Refusals outcomes={outcomes} />
    </>
  );
}

function Results({ act, outcomes }: { act: Act; outcomes: Outcome[] }) {
  const plans = plansOf(outcomes);
  const undo = unique(plans.flatMap((plan) => plan.undo ?? []));
  return (
    <div role="status">
      {plans.length > 0 && (
        <p>
          Done: {act.verb.toLowerCase()}
          {act.on.length > 1 && `, ${plans.length} of ${act.on.length}`}. {undo.length > 0 && `Undo: ${undo.join(' ')}`}
        </p>
      )}
      <Refusals outcomes={outcomes} />
    </div>
  );
}

function ActDialog({ act, onClose }: { act: Act; onClose: () => void }) {
  const client = useQueryClient();
  const dialog = useRef<HTMLDialogElement>(null);
  const [plan, setPlan] = useState<Outcome[]>();
  const [results, setResults] = useState<Outcome[]>();
  const [sent, setSent] = useState<number>();
  const [typed, setTyped] = useState('');
  useEffect(() => {
    dialog.current?.showModal();
    let current = true;
    void sendAll(act, 'Dry run in the dashboard', true, () => undefined).then((outcomes) => {
      if (!current) return;
      setPlan(outcomes);
      for (const one of outcomes) if ('error' in one) onRefused(client, one.error);
    });
    return () => {
      current = false;
    };
  }, [act, client]);

  const plans = plansOf(plan ?? []);
  const live = sum(plans, ({ affected }) => affected.candidates_live);
  /** The role may be lowered while the dialog is open. */
  const refusal = useRefusal(act.role ?? 'operator');
  const isRefused = plans.length > 0 && refusal !== undefined;
  const run = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const why = String(new FormData(event.currentTarget).get('why'));
    setSent(0);
    const outcomes = await sendAll(act, why, false, setSent);
    setResults(outcomes);
    act.onDone?.();
    for (const one of outcomes) if ('error' in one) onRefused(client, one.error);
    await drawAtOnce(client.invalidateQueries());
  };
  const title = `${act.verb} ${act.on.length === 1 ? act.on[0]?.name : `${act.on.length} selected`}`;
  return (
    <dialog ref={dialog} aria-labelledby="act-title" onClose={onClose}>
      <h2 id="act-title">{title}</h2>
      {results ? (
        <>
          <Results act={act} outcomes={results} />
          <div className="acts">
            {/* biome-ignore lint/a11y/noAutofocus: the form that had the focus is gone */}
            <button type="button" autoFocus onClick={() => dialog.current?.close()}>
              Close
            </button>
          </div>
        </>
      ) : (
        <form onSubmit={run}>
          <section aria-label="What happens" aria-live="polite" className="dry-run">
            {plan ? <Effect outcomes={plan} /> : <p className="soft">Checking what would happen …</p>}
          </section>
          {isRefused && (
            <p className="notice" data-tone="bad" role="alert">
              {refusal}
            </p>
          )}
          {plans.length > 0 && (
            <>
              <label>
                Why? It is kept in the audit log.
                <input name="why" required minLength={3} maxLength={200} autoComplete="off" />
              </label>
              {live > 0 && (
                <label>
                  {`Type ${live} to confirm that you stop ${plural(live, 'live interview')}.`}
                  <input value={typed} onChange={({ target }) => setTyped(target.value)} inputMode="numeric" required />
                </label>
              )}
            </>
          )}
          <div className="acts">
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            {plans.length > 0 && (
              <button
                type="submit"
                {...(act.danger ? { 'data-danger': true } : { 'data-primary': true })}
                disabled={isRefused || sent !== undefined || (live > 0 && typed.trim() !== String(live))}
              >
                {sent === undefined || act.on.length === 1 ? act.verb : `${sent} of ${act.on.length} …`}
              </button>
            )}
          </div>
        </form>
      )}
    </dialog>
  );
}

export function ActsProvider({ children }: { children: ReactNode }) {
  const [act, setAct] = useState<Act>();
  const close = useCallback(() => setAct(undefined), []);
  return (
    <OpenContext value={setAct}>
      {children}
      {act && <ActDialog act={act} onClose={close} />}
    </OpenContext>
  );
}

/** Opens the dialog of an act. Disabled, with the reason as its title, if the operator's role may not do it. */
export function ActButton({ act, disabled }: { act: Act; disabled?: string | undefined }) {
  const open = useContext(OpenContext);
  const refusal = useRefusal(act.role ?? 'operator') ?? disabled;
  return (
    <button
      type="button"
      disabled={refusal !== undefined}
      title={refusal}
      {...(act.danger ? { 'data-danger': true } : {})}
      onClick={() => open(act)}
    >
      {act.verb}
    </button>
  );
}
