/// <reference lib="esnext.disposable" preserve="true" />
// The client
export type { Client, ClientOptions } from './client.ts'
// Interceptors
export type { Auth, Credential } from './core/call/auth.ts'
// For authors of transports
export { Call, type CallFields } from './core/call/call.ts'
// Calls
export type { CallOptions, Progress, QueryContext } from './core/call/call-options.ts'
export type {
  Args,
  Channel,
  ClientStream,
  DeclaredError,
  Duplex,
  Fails,
  NoInput,
  Observer,
  PageArgs,
  Paged,
  PagedUnary,
  PageOptions,
  PathNames,
  PathValue,
  SendOptions,
  ServerStream,
  Stream,
  StreamHead,
  Unary,
  UnaryResult,
} from './core/call/call-types.ts'
export { Context, type ContextKey, createContextKey } from './core/call/context.ts'
export { type Deprecation, readDeprecation } from './core/call/deprecation.ts'
export { HeaderMap, type HeadersInit } from './core/call/header-map.ts'
export type { Health, HealthCheck, HealthStatus } from './core/call/health.ts'
export type { IdempotencyOption } from './core/call/idempotency.ts'
export type { Interceptor, Next } from './core/call/interceptor.ts'
// Contracts and their types
export {
  type AnyHold,
  type AnyOutbox,
  type AnyPager,
  type Api,
  adapt,
  type Bound,
  type Contract,
  type Declaration,
  type DurableMachinery,
  defineOperation,
  type InputOf,
  type Kind,
  type Missing,
  type Need,
  type Operation,
  type OperationInfo,
  type OutputOf,
  type PageFacts,
  type ResumeSpec,
  type StreamMachinery,
} from './core/call/operation.ts'
export type { Plan, ValidateMode } from './core/call/plan.ts'
export type { Reply, StreamReply, UnaryReply } from './core/call/reply.ts'
export { optional, type Schema, type SchemaOutput, type, type Witness } from './core/call/schema.ts'
export type { Services } from './core/call/scope.ts'
export { Scope } from './core/call/scope.ts'
export type { Finish, Telemetry, TelemetryEvent } from './core/call/telemetry.ts'
export type { Transport } from './core/call/transport.ts'
// Errors
export type { Code } from './core/errors/code.ts'
export { CallError, type FailedAttempt, type NotRetried } from './core/errors/error.ts'
export type { Failure, Phase, Sent, Violation } from './core/errors/failure.ts'
export { isCallError } from './core/errors/is-call-error.ts'
export { failover } from './core/failover/failover.ts'
export { failoverCalls } from './core/failover/failover-calls.ts'
export type { FailoverOptions } from './core/failover/options.ts'
export { type Callbacks, type Cancel, cancelWith, type Watch, watchWith } from './core/long-running/feeds.ts'
export type {
  LongRunning,
  PollPace,
  Run,
  RunCallOptions,
  RunFacts,
  RunStatus,
  RunToken,
  WaitOptions,
} from './core/long-running/types.ts'
// Policies that a client is given as values
export type {
  BreakerOptions,
  BreakerPeers,
  BreakerState,
  SharedBreakers,
} from './core/policies/breaker.ts'
export type { PolicyOptions } from './core/policies/options.ts'
export type { RateLimit } from './core/policies/rate-limits.ts'
export type {
  Continuation,
  Stop,
  StoppableServerStream,
  StoppableStream,
} from './core/resume/continuation.ts'
export { type ContinueOptions, continueWith } from './core/resume/continue-with.ts'
export { type Hold, type HoldOptions, hold } from './core/resume/hold.ts'
export type { OpeningOptions } from './core/resume/options.ts'
export type { Place } from './core/resume/place.ts'
export { type PollOptions, poll } from './core/resume/poll.ts'
export { stopWith } from './core/resume/stop-with.ts'
export type { RetryBudgetOptions, RetryOptions } from './core/retry/options.ts'
export type { SendQueue } from './core/send-queue/send-queue.ts'
export type { QueuedMessage, SendLease, Sends } from './core/send-queue/sends.ts'
// Stores
export { processes } from './core/shared/share.ts'
export type { Shared, SharedOptions, SharedPolicy } from './core/shared/sharing.ts'
export { tabs } from './core/shared/tabs.ts'
export type { CursorKeeper, CursorPlace } from './core/store/cursor-place.ts'
export { type IndexedDbStoreOptions, indexedDbStore } from './core/store/indexed-db-store.ts'
export { type MemoryStoreOptions, memoryStore } from './core/store/memory-store.ts'
export {
  type RedisClient,
  type RedisStoreOptions,
  type RedisSubscriber,
  redisStore,
} from './core/store/redis-store.ts'
export type { Store, StoreEntry, StorePage, StoreTraits, StoreWrite } from './core/store/store.ts'
export { type StoredCursorOptions, storedCursor } from './core/store/stored-cursor.ts'
export { defineStream } from './core/stream/duplex.ts'
export { type Gap, isGap, type Resync } from './core/stream/gap.ts'
export {
  type Bound as QueueBound,
  type Conflation,
  conflate,
  makeBound,
  type OverflowOptions,
  type OverflowPolicy,
} from './core/stream/overflow.ts'
export type { ReceiveQueue } from './core/stream/queue.ts'
export {
  type Item,
  type MessageSource,
  Source,
  type SourceEnd,
  type SourceOptions,
  type Tap,
} from './core/stream/source.ts'
export type { Continuity, StreamState } from './core/stream/state.ts'
export type { BackoffOptions } from './core/time/backoff.ts'
export type { Clock } from './core/time/clock.ts'
export { createClient } from './create-client.ts'
export { acceptLanguage, type Languages } from './interceptors/accept-language.ts'
export { auth } from './interceptors/auth.ts'
export { type BulkheadOptions, bulkhead } from './interceptors/bulkhead.ts'
export { type BreakerEvent, type CircuitBreakerOptions, circuitBreaker } from './interceptors/circuit-breaker.ts'
export { type DeadlineOptions, deadline } from './interceptors/deadline.ts'
export { type HedgingOptions, hedging } from './interceptors/hedging.ts'
export { type IdempotencyKeyOptions, idempotencyKey } from './interceptors/idempotency-key.ts'
export { type InFlightDedupeOptions, inFlightDedupe } from './interceptors/in-flight-dedupe.ts'
export { type OwnRateLimit, type RateLimiterOptions, rateLimiter } from './interceptors/rate-limiter.ts'
export { type ResumeOptions, resume } from './interceptors/resume.ts'
export { retry } from './interceptors/retry.ts'
export { attemptSpan, callSpan } from './interceptors/telemetry.ts'
// Telemetry
export { combineTelemetry } from './telemetry/combine.ts'
export { type CallEvent, type Outcome, onEvent } from './telemetry/events.ts'
export { type LoggerLike, type LogLevel, type LogOptions, logTo } from './telemetry/log.ts'
