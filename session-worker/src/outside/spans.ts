import type { LogFields } from '@greenroom/shared/runtime/logger.ts';

/** Spans of a worker, before and inside the tracing library. */
export interface SpanRecord {
  /** Lower-case words. */
  name: string;
  kind?: 'internal' | 'client';
  /** On this machine's clock, Unix ms. */
  startMs: number;
  endMs: number;
  fields?: LogFields;
  /** A name or code, never a message. Undefined: it did not fail. */
  failure?: string | undefined;
}

export interface Spans {
  add(span: SpanRecord): void;
  /** Exports what is left. */
  close(): Promise<void>;
}
