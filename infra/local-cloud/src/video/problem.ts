/** Errors in api.video's shape: `{type, title, status, name?}`. */
import type { WireReply } from '../faulty-route.ts';

const titles: Record<number, [slug: string, title: string]> = {
  400: ['request.invalid', 'The request is invalid.'],
  401: ['authentication.failed', 'The authentication has failed.'],
  403: ['forbidden', 'You are not allowed to do this.'],
  404: ['resource.not_found', 'The requested resource was not found.'],
  429: ['rate.limit.exceeded', 'Too many requests.'],
};

/** The body that goes with a status. @param name the parameter at fault, if one is. */
export function problemBody(status: number, title?: string, name?: string) {
  const [slug, usual] = titles[status] ?? ['server.error', 'Something went wrong.'];
  const named = name === undefined ? {} : { name };
  return { type: `https://docs.api.video/reference/${slug}`, title: title ?? usual, status, ...named };
}

export const problem = (status: number, title?: string, name?: string): WireReply => ({
  status,
  body: problemBody(status, title, name),
});
