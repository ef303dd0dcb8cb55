import { focusManager, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError } from './api.ts';
import { LiveProvider } from './live.tsx';
import { drawQueries } from './redraws.ts';
import { preloadViews, router } from './router.tsx';
import { onRefused, SignedIn } from './session.tsx';

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => onRefused(client, error) }),
  defaultOptions: {
    queries: {
      // Only lost answers and 5xx are worth a retry: any other refusal would be the same again.
      retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
      retryDelay: (count) => 1_000 * 2 ** count,
    },
  },
});
drawQueries(client);
// The window can gain the focus without having been hidden, and the operator may come from asking an admin for a role.
focusManager.setEventListener((onFocus) => {
  for (const name of ['visibilitychange', 'focus']) window.addEventListener(name, () => onFocus());
  return undefined;
});

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <LiveProvider>
        <SignedIn>
          <RouterProvider router={router} />
        </SignedIn>
      </LiveProvider>
    </QueryClientProvider>
  </StrictMode>,
);

/** The view that is open comes first. */
const preloadAfterMs = 1_000;
setTimeout(preloadViews, preloadAfterMs);
