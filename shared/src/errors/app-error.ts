import { type ErrorCode, errorCodes } from './codes.ts';

/** One wrong field, named by its path, for example `candidate.email`. */
export interface FieldError {
  field: string;
  message: string;
}

export interface AppErrorOptions {
  /** Shown to the caller. Says what to do, and contains nothing confidential. */
  detail?: string;
  fields?: FieldError[];
  /** For 429 and 503, seconds. */
  retryAfterS?: number;
  /** Additional members of the problem document. */
  extensions?: Record<string, unknown>;
  cause?: unknown;
}

/** An error with a registered code. The caller sees code and detail; the cause is only logged. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly fields: FieldError[];
  readonly retryAfterS: number | undefined;
  readonly extensions: Record<string, unknown>;

  constructor(code: ErrorCode, { detail, fields = [], retryAfterS, extensions = {}, cause }: AppErrorOptions = {}) {
    super(detail ?? errorCodes[code].title, cause === undefined ? undefined : { cause });
    this.name = 'AppError';
    this.code = code;
    this.detail = detail ?? `${errorCodes[code].title}.`;
    this.fields = fields;
    this.retryAfterS = retryAfterS;
    this.extensions = extensions;
  }

  get status(): number {
    return errorCodes[this.code].status;
  }

  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }
}
