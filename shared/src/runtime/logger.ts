import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { logFields } from './log-fields.ts';

/**
 * A log line is a fixed sentence with values in fields.
 *
 * - Only the fields of `log-fields.ts` can be logged. The compiler refuses any other field; at run time an unknown field is
 *   dropped, so that no secret, SDP or transcript text can reach a log.
 * - Of an error only name, code, message, stack and cause are logged, never a request's headers or body.
 */
const allowedFields = new Set<string>([...logFields, 'error', 'errors', 'level', 'msg', 'time', 'pid']);

/** The fields of a log line. An error goes into `error`. */
export type LogFields = { [name in (typeof logFields)[number]]?: LogValue | readonly LogValue[] } & { error?: unknown };
type LogValue = string | number | boolean | null | undefined;

/** Refuses unknown fields, also when they come from a variable or a spread. */
type OnlyListed<F> = F & Record<Exclude<keyof F, keyof LogFields>, never>;
type Write = <F extends LogFields>(fields: OnlyListed<F>, sentence: string) => void;

export interface Logger {
  trace: Write;
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  fatal: Write;
  /** A logger that adds these fields to each line. */
  child<F extends LogFields>(fields: OnlyListed<F>): Logger;
}

/** The loggable part of an error. */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: 'NonError', message: typeof error };
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    stack,
    ...(cause !== undefined ? { cause: describeError(cause) } : {}),
    ...(error instanceof AggregateError ? { errors: error.errors.map(describeError) } : {}),
  };
}

function keepAllowed(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([name]) => allowedFields.has(name))
      .map(([name, value]) => [name, name === 'error' ? describeError(value) : value]),
  );
}

export interface LoggerOptions {
  /** `trace` … `fatal` or `silent`. Default `info`. */
  level?: string;
  /** Name of this process, on every line. */
  component: string;
  /** Destination of the lines. Default: standard output. */
  destination?: DestinationStream;
  /** Fields of each line, for example the ids of the current request. A line's own fields win. Default: none. */
  context?: () => LogFields;
}

/** pino formats the fields of the first logger only, so a child's fields are filtered here. */
const listedOnly = (logger: PinoLogger): Logger => ({
  trace: logger.trace.bind(logger),
  debug: logger.debug.bind(logger),
  info: logger.info.bind(logger),
  warn: logger.warn.bind(logger),
  error: logger.error.bind(logger),
  fatal: logger.fatal.bind(logger),
  child: (fields) => listedOnly(logger.child(keepAllowed(fields))),
});

/** @returns a logger that writes one JSON object per line and keeps only allowed fields. */
export function createLogger({ level = 'info', component, destination, context }: LoggerOptions): Logger {
  const logger = pino(
    {
      level,
      base: { component },
      // pino changes the object that it gets here.
      ...(context ? { mixin: () => ({ ...context() }) } : {}),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: keepAllowed, bindings: keepAllowed, level: (label) => ({ level: label }) },
    },
    ...(destination ? [destination] : []),
  );
  return listedOnly(logger);
}

/** A logger that writes nothing. */
export const silentLogger = (): Logger => createLogger({ level: 'silent', component: 'silent' });
