import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useState } from 'react';
import type { Me, OperatorRole } from './answers.ts';
import { ApiError, get, send } from './api.ts';
import { useRefresh } from './live.tsx';

/** Who is signed in. */
const MeContext = createContext<Me | undefined>(undefined);
const meKey = ['me'];
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

const readMe = async ({ signal }: { signal: AbortSignal }): Promise<Me | null> => {
  try {
    return await get<Me>('me', signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
};

export function SignedIn({ children }: { children: ReactNode }) {
  const refresh = useRefresh(30_000);
  const {
    data: me,
    error,
    refetch,
  } = useQuery({
    ...{ queryKey: meKey, queryFn: readMe, ...refresh },
    // Without a cookie the answer would always be the same, until somebody signs in.
    refetchInterval: ({ state }) => (state.data === null ? false : refresh.refetchInterval),
  });
  if (me === null) return <SignIn />;
  if (me) return <MeContext value={me}>{children}</MeContext>;
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

/** Why the sign-in provider led back without a sign-in. */
const refusals: Record<string, string> = {
  forbidden: 'None of your groups has a role here. Ask an admin.',
  unauthenticated: 'You were not signed in. Try again.',
  overloaded: 'The sign-in provider does not answer. Try again.',
  rate_limited: 'Too many tries. Wait a minute.',
};

function SignIn() {
  const client = useQueryClient();
  const { data: ways } = useQuery({
    queryKey: ['ways'],
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
  const leave = async () => {
    await send('POST', 'sign-out', {});
    client.setQueryData(meKey, null);
    client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== meKey[0] });
  };
  return (
    <button type="button" onClick={() => void leave()}>
      Sign out
    </button>
  );
}
