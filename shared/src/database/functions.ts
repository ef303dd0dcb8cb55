import type { Database, Json } from './types.ts';

/**
 * The SQL functions of schema public as the compiler sees them: names, arguments and results, from the generated types.
 *
 * The database's types do not describe JSON results: the schema with which the caller parses them does. For scalars and arrays
 * the schema must match the SQL type.
 */
type Functions = Database['public']['Functions'];

/** A function that returns one value. One that returns rows is not named: PostgREST cuts rows at its limit and does not say so. */
export type FunctionName = {
  [Name in keyof Functions]: Functions[Name]['Returns'] extends Record<string, unknown>[] ? never : Name;
}[keyof Functions];

/** Any value that `JSON.stringify` accepts for a jsonb argument. `Json` itself would refuse interfaces. */
type JsonArgument = object | string | number | boolean | null;

type IsJson<T> = { [key: string]: Json | undefined } extends T ? true : false;

/** SQL accepts null for every argument. An argument with a default may also be left out. */
type Argument<T> = (IsJson<T> extends true ? JsonArgument : T extends Array<infer E> ? readonly E[] : T) | null;

/** The named arguments of a function. One that is undefined is left out. */
export type FunctionArguments<N extends FunctionName> = {
  [K in keyof Functions[N]['Args']]:
    | Argument<NonNullable<Functions[N]['Args'][K]>>
    | (undefined extends Functions[N]['Args'][K] ? undefined : never);
};

type Row<T> = { [K in keyof T]?: T[K] | null };

type Result<T> = IsJson<T> extends true ? unknown : T extends Array<infer R> ? (R extends object ? Row<R>[] : T) : T;

/** The result type of a function, as far as the database's types know it. */
export type FunctionResult<N extends FunctionName> = Functions[N]['Returns'] extends undefined
  ? undefined
  : Result<Functions[N]['Returns']> | null;
