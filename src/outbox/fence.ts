import type { Call } from '../core/call/call.ts'
import { compose, type Next, trusted } from '../core/call/interceptor.ts'
import { ownPlan, type Plan, type PlansItself } from '../core/call/plan.ts'
import { CallError } from '../core/errors/error.ts'
import type { Clock } from '../core/time/clock.ts'

/** One run of the chain under one claim: what it may do, and what it has done. */
export class Run {
  /** Requests that were handed to the transport. */
  dispatches = 0
  /** The server has answered, and has not refused. */
  isAnswered = false
  readonly #clock: Clock
  readonly #fenceMs: number
  readonly #startedAt: number
  readonly #startedWall: number

  /** To be made before the claim is written, so that its age is never taken for less. */
  constructor(clock: Clock, fenceMs: number) {
    this.#clock = clock
    this.#fenceMs = fenceMs
    this.#startedAt = clock.now()
    this.#startedWall = clock.wallNow()
  }

  /** What is left of the claim; ms. One of the clocks may have stood still in a sleep, the other may have been set back. */
  get leftMs(): number {
    const age = Math.max(this.#clock.now() - this.#startedAt, this.#clock.wallNow() - this.#startedWall)
    return this.#fenceMs - age
  }

  /**
   * The input of an ordinary call that is made under this claim: the whole chain, and around it two interceptors of the
   * outbox. The innermost looks at the claim right before each request goes to the transport.
   *
   * @param isOurs - whether the identity is still the one that the entry belongs to.
   */
  around(input: unknown, isOurs: () => boolean): PlansItself {
    return Object.defineProperty({}, ownPlan, { value: (plan: Plan) => this.#plan(plan, input, isOurs) })
  }

  #plan(plan: Plan, input: unknown, isOurs: () => boolean): Plan {
    const { route, encodeInput } = plan
    const answered = trusted(function outbox(next: Next) {
      return (call: Call) => next(call).then(seen)
    })
    const seen = <T>(reply: T): T => {
      this.isAnswered = true
      return reply
    }
    const fence = trusted((next: Next) => (call: Call) => {
      const refused = this.leftMs <= 0 ? tooOld : isOurs() ? undefined : otherIdentity
      if (refused) return Promise.reject(new CallError({ code: 'unavailable', message: refused, sent: 'no' }, call))
      this.dispatches++
      return next(call)
    })
    const chain = compose([answered, ...route.interceptors, fence], route.send, false)
    return {
      ...plan,
      route: { ...route, chain },
      encodeInput: (_wrapped, check) => (encodeInput ? encodeInput(input, check) : input),
    }
  }
}

const tooOld = 'the claim of the outbox has grown too old to be sent under: it is claimed anew'
const otherIdentity = 'another identity has logged in: the entry waits for its own'
