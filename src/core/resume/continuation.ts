import type { CallOptions } from '../call/call-options.ts'
import type { Args, Duplex, PathNames, PathValue, Stream } from '../call/call-types.ts'
import type { Declaration } from '../call/operation.ts'

declare const continued: unique symbol
declare const stopped: unique symbol

/** What `continueWith()` makes, whatever the operation that declares it. */
export interface AnyContinuation extends Declaration {
  /** No `{ cursor, apply }`: the compiler tells the two apart by this. */
  readonly apply?: undefined
  readonly [continued]: { readonly via: string }
}

/** What `continueWith()` makes: `V` is the transport that it needs, `In` and `Message` are those of the operation that declares it. */
export interface Continuation<V extends string, In, Message> extends Declaration {
  readonly apply?: undefined
  // Methods, so that a function which names a part of the input only fits, too; the builder checks the whole.
  readonly [continued]: { readonly via: V; input(input: In): void; message(message: Message): void }
}

/** What `stopWith()` makes, whatever the operation that declares it. */
export interface AnyStop extends Declaration {
  readonly [stopped]: { readonly via: string }
}

/** What `stopWith()` makes. */
export interface Stop<V extends string, In, Message> extends Declaration {
  readonly [stopped]: { readonly via: V; input(input: In): void; message(message: Message): void }
}

/** The transports that a spec needs beside the operation's own. */
export type OtherVia<S> =
  | (S extends { readonly resume: { readonly [continued]: { readonly via: infer V extends string } } } ? V : never)
  | (S extends { readonly stop: { readonly [stopped]: { readonly via: infer V extends string } } } ? V : never)

/** What of an input is known while the rest of its literal is still looked at: the names in a template. */
export type PathInput<P extends string> = { readonly [Name in PathNames<P>]: PathValue }

/** What a spec's functions are told: written out beside it, so that their parameters need no annotation. */
export interface Continuable<In, Message, Other> {
  readonly resume?: Other | Continuation<string, In, Message>
  readonly stop?: Stop<string, In, Message>
}

type Asked<T> = T extends { input(input: infer In): void } ? In : never
type Misfit = 'the function of the place is annotated with another input than the operation takes'

/** An annotated place is checked against what the operation really takes, which is known only when its whole spec is. */
export type PlaceCheck<In, S> = (S extends { readonly resume: { readonly [continued]: infer C } }
  ? [In] extends [Asked<C>]
    ? unknown
    : { readonly resume: Misfit }
  : unknown) &
  (S extends { readonly stop: { readonly [stopped]: infer C } }
    ? [In] extends [Asked<C>]
      ? unknown
      : { readonly stop: Misfit }
    : unknown)

/** A stream whose server can be told that the caller has had enough. */
export interface StoppableStream<Message> extends Stream<Message> {
  /**
   * Tells the server to stop, which leaving the stream does not: one call of the operation that `stop` declares, however
   * often this is called. It waits until the stream has told what it takes (a run's id, say), within its `timeoutMs`;
   * the stream then reads on to the server's last messages, for 5 s at most, and ends without an error.
   *
   * @throws {CallError} what that operation failed with; the stream goes on.
   */
  stop(options?: CallOptions): Promise<void>
}

/** Both ways, with a server that can be told to stop. */
export interface StoppableChannel<In, Send, Receive> {
  (...args: Args<In>): StoppableStream<Receive> & Duplex<Send, Receive>
}

/** Many messages from a server that can be told to stop. */
export interface StoppableServerStream<In, Message> {
  (...args: Args<In>): StoppableStream<Message>
}
