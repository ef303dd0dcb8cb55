import { type ErrorCode, errorCodes } from './codes.ts';

/** One field that was wrong, named by its path: `candidate.email`. */
export interface FieldError {
  field: string;
  message: string;
}

export interface AppErrorOptions {
  /** Safe to show to the caller; say what to do. */
  detail?: string;
  fields?: FieldError[];
  /** For 429 and 503, seconds. */
  retryAfterS?: number;
  /** More members of the problem document, for programs. */
  extensions?: Record<string, unknown>;
  cause?: unknown;
}

/** An error with a registered code: what the caller may see, and the cause for the log. */
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
