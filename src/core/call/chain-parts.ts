import type { RetryOptions } from '../retry/options.ts'
import type { Auth } from './auth.ts'
import type { IdempotencyOption } from './idempotency.ts'
import type { Interceptor } from './interceptor.ts'
import type { Telemetry } from './telemetry.ts'
import type { Transport } from './transport.ts'

/** What the default chain is built from, for one transport. */
export interface ChainParts {
  readonly auth: Auth | undefined
  readonly retry: RetryOptions | false | undefined
  readonly timeoutMs: number | undefined
  readonly telemetry: Telemetry | undefined
  readonly transport: Transport & { readonly idempotency?: IdempotencyOption | undefined }
}

/** Builds the default chain; a value, so that this file knows no interceptor. */
export type DefaultChain = (parts: ChainParts) => readonly Interceptor[]
