import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useEffect, useState } from 'react';
import type { Me, OperatorRole } from './answers.ts';
import { ApiError, get, send } from './api.ts';
import { useRefresh } from './live.tsx';
import { learnServerTime } from './server-time.ts';

/** Who is signed in. */
const MeContext = createContext<Me | undefined>(undefined);
const meKey = ['me'];
const waysKey = ['ways'];
const rolesInOrder: OperatorRole[] = ['viewer', 'operator', 'admin'];

export function useMe(): Me {
  const me = useContext(MeContext);
  if (!me) throw new Error('no operator is signed in here');
  return me;
}

/** Why this operator may not do what needs the role `wanted`. Undefined if they may. */
export function useRefusal(wanted: OperatorRole): string | undefined {
  const { role } = useMe();
  if (rolesInOrder.indexOf(role) >= rolesInOrder.indexOf(wanted)) return undefined;
  return `This needs the role ${wanted}; yours is ${role}.`;
}

/** After 401 or 403 the page asks again who is signed in: the cookie or the role may be gone. */
export function onRefused(client: QueryClient, error: unknown): void {
  if (error instanceof ApiError && (error.status === 401 || error.status === 403))
    void client.invalidateQueries({ queryKey: meKey });
}

/** A function that asks again who is signed in. */
export function useAskAgain(): () => void {
  const client = useQueryClient();
  return useCallback(() => void client.invalidateQueries({ queryKey: meKey }), [client]);
}

/** Nobody is signed in. */
interface Nobody {
  why: string;
  /** Somebody was signed in on this page a moment ago, and did not press the button to sign out. */
  lost: boolean;
}
type Who = Me | Nobody;

const isSignedIn = (who: Who): who is Me => 'role' in who;

async function readWho(client: QueryClient, signal: AbortSignal): Promise<Who> {
  const askedAt = Date.now();
  try {
    const me = await get<Me>('me', signal);
    learnServerTime(me.now, askedAt);
    return me;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    const before = client.getQueryData<Who>(meKey);
    return { why: error.message, lost: before !== undefined && (isSignedIn(before) || before.lost) };
  }
}

export function SignedIn({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const refresh = useRefresh(30_000);
  const {
    data: who,
    error,
    refetch,
  } = useQuery<Who>({
    ...{ queryKey: meKey, queryFn: ({ signal }) => readWho(client, signal), ...refresh },
    // Without a cookie the answer would always be the same, until somebody signs in.
    refetchInterval: ({ state }) => (state.data && !isSignedIn(state.data) ? false : refresh.refetchInterval),
  });
  if (who) return isSignedIn(who) ? <MeContext value={who}>{children}</MeContext> : <SignIn {...who} />;
  if (!error) return null;
  return (
    <main className="gate" role="alert">
      <h1>Greenroom</h1>
      <p>{error.message}</p>
      <button type="button" onClick={() => void refetch()}>
        Try again
      </button>
    </main>
  );
}

/** Says that the operator's role has changed while the page was open. */
export function RoleNotice() {
  const { role } = useMe();
  const [known, setKnown] = useState(role);
  return (
    <div role="status">
      {role !== known && (
        <div className="notice" data-tone="warn">
          <p>
            Your role was changed from {known} to {role}.
            {rolesInOrder.indexOf(role) < rolesInOrder.indexOf(known) && ' Acts that need a higher role are disabled.'}
          </p>
          <button type="button" onClick={() => setKnown(role)}>
            Understood
          </button>
        </div>
      )}
    </div>
  );
}

/** Why the sign-in provider led back without a sign-in. */
const refusals: Record<string, string> = {
  forbidden: 'None of your groups has a role here. Ask an admin.',
  unauthenticated: 'You were not signed in. Try again.',
  overloaded: 'The sign-in provider does not answer. Try again.',
  rate_limited: 'Too many tries. Wait a minute.',
};

function SignIn({ why, lost }: Nobody) {
  const client = useQueryClient();
  // The next person who signs in on this page may have a lower role.
  useEffect(
    () => client.removeQueries({ predicate: ({ queryKey: [name] }) => name !== meKey[0] && name !== waysKey[0] }),
    [client],
  );
  const { data: ways } = useQuery({
    queryKey: waysKey,
    queryFn: ({ signal }) => get<{ oidc: boolean }>('sign-in/ways', signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const code = new URLSearchParams(location.search).get('sign_in');
  const refused = code === null ? undefined : (refusals[code] ?? refusals.unauthenticated);
  const [problem, setProblem] = useState('');
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get('token');
    try {
      await send('POST', 'sign-in', { token });
      await client.invalidateQueries({ queryKey: meKey });
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };
  return (
    <main className="gate">
      <title>Sign in · Greenroom</title>
      <h1>Greenroom</h1>
      <p>For operators.</p>
      {lost ? (
        <p role="alert" className="notice" data-tone="warn">
          {why}
        </p>
      ) : (
        <p className="soft">{why}</p>
      )}
      {refused !== undefined && (
        <p role="alert" className="notice" data-tone="bad">
          {refused}
        </p>
      )}
      {ways?.oidc === true && (
        <p>
          <a className="sign-on" href="/ops/api/sign-in/oidc">
            Sign in with your organisation
          </a>
        </p>
      )}
      <form onSubmit={submit}>
        <label>
          Operator’s token
          <input name="token" type="password" required autoComplete="current-password" spellCheck={false} />
        </label>
        {problem && (
          <p role="alert" className="notice" data-tone="bad">
            {problem}
          </p>
        )}
        <button type="submit" data-primary>
          Sign in
        </button>
      </form>
    </main>
  );
}

export function SignOut() {
  const client = useQueryClient();
  const [problem, setProblem] = useState('');
  const leave = async () => {
    try {
      await send('POST', 'sign-out', {});
      client.setQueryData(meKey, { why: 'You have signed out.', lost: false } satisfies Nobody);
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };
  return (
    <>
      <button type="button" onClick={() => void leave()}>
        Sign out
      </button>
      {problem && <p role="alert">You are still signed in. {problem}</p>}
    </>
  );
}
