import { type DestinationStream, type Logger, pino } from 'pino';

/**
 * Logs are events with ids: a fixed sentence, values in fields.
 *
 * L1  What may be logged is an allow-list of fields. Anything else is dropped, so that no secret, SDP or transcript
 *     text can reach a log by being put into an object that is logged.
 * L2  Of an error only its name, code, message and stack are kept; never a request's headers or body.
 */
const allowedFields = new Set(
  `session_id tenant_id machine_id machine_name fly_machine_id fly_request_id app_name region epoch ordinal call_id
   request_id method path status status_code code outcome reason state from to attempt attempts delay_ms took_ms
   elapsed_ms count entries bytes port host url orchestrator_id kind phase signal name version image actor directive
   lease_expires_at deadline last_seen evidence target floor ceiling error errors level msg time pid component key_id
   retry_after_s quality problem rtt_ms loss_percent close_code item_count queue_depth batch retryable reports`.split(
    /\s+/,
  ),
);

/** What is kept of an error (L2). */
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

export type { Logger };

export interface LoggerOptions {
  /** `trace` … `fatal` or `silent`. Default `info`. */
  level?: string;
  /** Which process this is, on every line. */
  component: string;
  /** Where lines go; default standard output. */
  destination?: DestinationStream;
}

/** @returns a pino logger that writes one JSON object per line and keeps allowed fields only (L1). */
export function createLogger({ level = 'info', component, destination }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: { component },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: keepAllowed, bindings: keepAllowed, level: (label) => ({ level: label }) },
    },
    ...(destination ? [destination] : []),
  );
}

/** A logger that says nothing. */
export const silentLogger = (): Logger => createLogger({ level: 'silent', component: 'silent' });
