import type { Database, Json } from './types.ts';

/**
 * The SQL functions of schema public as the compiler sees them: names, arguments and results, from the generated types.
 *
 * What a function returns as JSON is not in the database's types: the schema that its one caller parses it with says it. A
 * scalar, a list or a table is, and then the schema may be no wider than what SQL returns.
 */
type Functions = Database['public']['Functions'];

/** A function that returns one value. One that returns rows is not named: PostgREST cuts rows at its limit and does not say so. */
export type FunctionName = {
  [Name in keyof Functions]: Functions[Name]['Returns'] extends Record<string, unknown>[] ? never : Name;
}[keyof Functions];

/** Anything that `JSON.stringify` makes an argument of type jsonb from. An interface has no index signature, as Json has. */
type JsonArgument = object | string | number | boolean | null;

type IsJson<T> = { [key: string]: Json | undefined } extends T ? true : false;

/** SQL takes null for every argument; one with a default may also be left out. */
type Argument<T> = (IsJson<T> extends true ? JsonArgument : T extends Array<infer E> ? readonly E[] : T) | null;

/** The named arguments of a function. One that is undefined is left out. */
export type FunctionArguments<N extends FunctionName> = {
  [K in keyof Functions[N]['Args']]:
    | Argument<NonNullable<Functions[N]['Args'][K]>>
    | (undefined extends Functions[N]['Args'][K] ? undefined : never);
};

type Row<T> = { [K in keyof T]?: T[K] | null };

type Result<T> = IsJson<T> extends true ? unknown : T extends Array<infer R> ? (R extends object ? Row<R>[] : T) : T;

/** What the schema of a function's answer may make of it; null where SQL answers null. */
export type FunctionResult<N extends FunctionName> = Functions[N]['Returns'] extends undefined
  ? undefined
  : Result<Functions[N]['Returns']> | null;
