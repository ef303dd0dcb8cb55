import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from './problems.ts';

interface KnownPath {
  pattern: RegExp;
  methods: Set<string>;
}

const patternOf = (url: string): RegExp => {
  const parts = url.split('/').map((part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}/?$`);
};

export type AnswerUnknown = (
  request: FastifyRequest,
  reply: FastifyReply,
  error: AppError,
) => FastifyReply | Promise<FastifyReply>;

/**
 * Answers unknown paths with 404, and known paths with another method with 405 and `Allow`. It must be
 * registered before the routes.
 */
export function registerUnknownRoutes(
  app: FastifyInstance,
  answerUnknown: AnswerUnknown = (_request, reply, error) => sendProblem(reply, error),
): void {
  const known = new Map<string, KnownPath>();
  app.addHook('onRoute', ({ url, method }) => {
    const entry = known.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of [method].flat()) entry.methods.add(name);
    known.set(url, entry);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] as string;
    const allowed = [...known.values()].filter((entry) => entry.pattern.test(path)).flatMap((e) => [...e.methods]);
    if (allowed.length === 0)
      return answerUnknown(request, reply, new AppError('not_found', { detail: 'No such path.' }));
    reply.header('allow', [...new Set(allowed)].join(', '));
    return sendProblem(reply, new AppError('method_not_allowed'));
  });
}
