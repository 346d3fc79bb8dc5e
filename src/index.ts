/// <reference lib="esnext.disposable" preserve="true" />
// The client
export type { Client, ClientOptions } from './client.ts'
// Interceptors
export type { Auth, Credential } from './core/auth.ts'
export type { BackoffOptions } from './core/backoff.ts'
// For authors of transports
export { Call, type CallFields } from './core/call.ts'
// Calls
export type { CallOptions, HeadersInit, Progress } from './core/call-options.ts'
export type {
  Args,
  Channel,
  ClientStream,
  Duplex,
  Fails,
  NoInput,
  Observer,
  PagedUnary,
  SendOptions,
  ServerStream,
  Stream,
  StreamHead,
  Unary,
  UnaryResult,
} from './core/call-types.ts'
export type { Clock } from './core/clock.ts'
// Errors
export type { Code } from './core/code.ts'
export { Context, type ContextKey, createContextKey } from './core/context.ts'
export type { CursorKeeper, CursorPlace } from './core/cursor-place.ts'
export { CallError, type FailedAttempt, type NotRetried } from './core/error.ts'
export type { Failure, Phase, Sent, Violation } from './core/failure.ts'
export { type Gap, isGap } from './core/gap.ts'
export { HeaderMap } from './core/header-map.ts'
export type { IdempotencyOption } from './core/idempotency.ts'
// Stores
export { type IndexedDbStoreOptions, indexedDbStore } from './core/indexed-db-store.ts'
export type { Interceptor, Next } from './core/interceptor.ts'
export { type MemoryStoreOptions, memoryStore } from './core/memory-store.ts'
// Contracts and their types
export {
  type Api,
  adapt,
  type Bound,
  type Contract,
  defineOperation,
  type InputOf,
  type Kind,
  type Missing,
  type Need,
  type Operation,
  type OperationInfo,
  type OutputOf,
  type ResumeSpec,
} from './core/operation.ts'
export {
  type Bound as QueueBound,
  conflate,
  makeBound,
  type OverflowOptions,
  type OverflowPolicy,
} from './core/overflow.ts'
export type { PathValue } from './core/path-names.ts'
export type { Reply, StreamReply, UnaryReply } from './core/reply.ts'
export type { Resync } from './core/resync-source.ts'
export type { RetryBudgetOptions, RetryOptions } from './core/retry-options.ts'
export { type Schema, type, type Witness } from './core/schema.ts'
export { Scope } from './core/scope.ts'
export type { Services } from './core/services.ts'
export { type Item, type MessageSource, Source, type SourceOptions, type Tap } from './core/source.ts'
export type { Store, StoreTraits, StoreWrite } from './core/store.ts'
export { type StoredCursorOptions, storedCursor } from './core/stored-cursor.ts'
export type { Continuity, StreamState } from './core/stream-state.ts'
export { defineStream } from './core/streaming.ts'
export type { Telemetry, TelemetryEvent } from './core/telemetry.ts'
export type { Transport } from './core/transport.ts'
export { createClient } from './create-client.ts'
export {
  attemptSpan,
  auth,
  callSpan,
  type DeadlineOptions,
  deadline,
  type IdempotencyKeyOptions,
  idempotencyKey,
  type ResumeOptions,
  resume,
  retry,
} from './interceptors/index.ts'
export { isCallError } from './is-call-error.ts'
