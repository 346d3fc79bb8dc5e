import { CallError, type ErrorOrigin } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import { refusal } from '../errors/refusal.ts'
import { guard, isThenable, toGuardError } from '../guard.ts'
import type { Auth } from './auth.ts'
import type { CallOptions } from './call-options.ts'
import { Context } from './context.ts'
import type { Interceptor, Next } from './interceptor.ts'
import type { Check, OperationInfo } from './operation.ts'
import { type Checked, checkSchema } from './schema.ts'
import type { Services } from './scope.ts'
import { type Sealed, snapshot } from './snapshot.ts'
import type { Transport } from './transport.ts'

/** One transport of a client with the chain composed in front of it. */
export interface Route {
  readonly transport: Transport
  readonly chain: Next
  /** What the chain is composed of, for an operation that takes a part of it; `send` is its end. */
  readonly interceptors: readonly Interceptor[]
  readonly send: Next
  readonly auth: Auth | undefined
}

/** One step between what the user holds and what a transport takes or gives; undefined where nothing is to be done. */
export type Step = ((value: unknown) => unknown | Promise<unknown>) | undefined

/** What a client works out once for an operation, so that a call does not. */
export interface Plan {
  readonly info: OperationInfo
  readonly route: Route
  /** From the caller's input to the transport's. What it throws is for {@link toInputError}. */
  readonly encodeInput: ((input: unknown, check: Check) => unknown | Promise<unknown>) | undefined
  /** Validates what {@link encodeInput} passes to it. */
  readonly checkInput: Check
  /** Validates one message that is sent on a stream. */
  readonly encodeMessage: Step
  /** From a wire message to what the user gets. */
  readonly convert: Step
}

/** The key under which an input may bring a plan of its own: what `at()` makes. */
export const ownPlan: unique symbol = Symbol.for('polywire.plan') as never

/** An input that changes how its own call is carried out. */
export interface PlansItself {
  /** The plan of this call, by that of its operation; it does not throw. */
  readonly [ownPlan]?: (plan: Plan) => Plan
}

/** What a failed check does: throws, warns and lets the value pass, or there is no check. */
export type ValidateMode = 'error' | 'warn' | false

/** Works out how one operation is called: its transport, and what its messages pass on the way there and back. */
export function makePlan(info: OperationInfo, route: Route, mode: ValidateMode, services: Services): Plan {
  const origin = { operation: info }
  const checkInput = makeCheck('input', mode, services, origin)
  const checkOutput = makeCheck('output', mode, services, origin)
  const { encodeInput, decodeOutput, encodeMessage, adapted } = info
  const adapt = adapted?.input
  const convert = chain(decodeOutput && ((message) => decodeOutput(message, checkOutput)), adapted?.output)
  return {
    info,
    route,
    encodeInput: adapt ? chain(adapt, encodeInput && ((value) => encodeInput(value, checkInput))) : encodeInput,
    checkInput,
    encodeMessage: encodeMessage && ((message) => guarded(() => encodeMessage(message, checkInput), badInput, info)),
    convert: convert && ((message) => guarded(() => convert(message), badOutput, info)),
  }
}

/** The input as the transport takes it, validated; asynchronous only where a schema is. */
export function inputOf({ encodeInput, checkInput, info }: Plan, input: unknown): unknown {
  let encoded = input
  try {
    if (encodeInput) encoded = encodeInput(input, checkInput)
    if (!(encoded instanceof Promise))
      return (encoded as Partial<Sealed> | undefined)?.['~seal'] ? encoded : snapshot(encoded)
  } catch (cause) {
    throw toGuardError('', cause, { operation: info }, badInput)
  }
  return guarded(() => encoded, badInput, info)
}

/** Whose a call is, by what makes the credentials of its transport. */
export function identityOf({ auth }: Pick<Route, 'auth'>, options: CallOptions, operation: OperationInfo): string {
  if (!auth?.identity) return ''
  const call = { context: options.context ?? Context.empty, options, operation }
  const identity = guard('auth.identity()', () => auth.identity?.(call) ?? '', call)
  // A promise, or an object, would be the same text for everybody wherever it becomes part of a key.
  if (typeof identity === 'object') throw refusal('auth.identity() gave no text', call)
  return identity
}

/** One step after the other, asynchronous only where a step is. */
function chain(first: Step, then: Step): Step {
  if (!first || !then) return first ?? then
  return (value) => {
    const between = first(value)
    return isThenable(between) ? Promise.resolve(between).then(then) : then(between)
  }
}

/** What a step throws, at once or later, the user's own code included, becomes a CallError with its cause. */
function guarded(step: () => unknown, failure: Failure, operation: OperationInfo): unknown {
  const made = guard('', step, { operation }, failure)
  // The call may have failed meanwhile for another reason: then nobody asks.
  if (made instanceof Promise) made.catch(() => {})
  return made
}

/** The caller's input could not be brought into the transport's shape. */
const badInput: Failure = {
  code: 'invalid_argument',
  message: 'the input could not be converted: see cause; nothing was sent',
}

/** What came back could not be brought into the caller's shape. */
const badOutput: Failure = {
  code: 'internal',
  message: 'the reply could not be converted: see cause',
  phase: 'body',
  sent: 'yes',
}

/** Makes the function that validates by a schema, asynchronous only where the schema is. */
function makeCheck(direction: 'input' | 'output', mode: ValidateMode, services: Services, origin: ErrorOrigin): Check {
  if (mode === false) return (_schema, value) => value
  const settle = (checked: Checked, value: unknown, kept = value): unknown => {
    if ('value' in checked) return checked.value === value ? kept : checked.value
    const failure = mismatch(direction, checked, value === undefined)
    if (mode === 'error') throw new CallError(failure, origin)
    const message = `${origin.operation.name}: ${failure.message}`
    services.telemetry?.event?.({ type: 'warning', call: undefined, message })
    return kept
  }
  return (schema, value) => {
    const checked = checkSchema(schema, value)
    if (!(checked instanceof Promise)) return settle(checked, value)
    // The caller may change what it has passed while the schema takes its time.
    const kept = direction === 'input' ? snapshot(value) : value
    return checked.then((done) => settle(done, value, kept))
  }
}

function mismatch(
  direction: 'input' | 'output',
  { violations }: Extract<Checked, { violations: unknown }>,
  isEmpty: boolean,
): Failure {
  const fields = violations.map(({ field }) => (field ? `'${field}'` : 'the whole')).join(', ')
  const where = `does not fit its schema at ${fields}`
  if (direction === 'input') return { ...badInput, message: `the input ${where}; nothing was sent`, violations }
  const what = isEmpty ? 'is empty, which does not fit its schema; the server did what was asked' : where
  return { ...badOutput, message: `the reply ${what}; validate: 'warn' lets it pass`, violations }
}
