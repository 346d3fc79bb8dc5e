import type { Call } from '../call/call.ts'
import { discardReply, type StreamReply } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import { CallError } from '../errors/error.ts'
import { bounded } from '../time/bounded.ts'
import type { Timer } from '../time/clock.ts'
import { pageLife } from '../time/page-life.ts'

/** The longest between two tries; ms. */
const longestMs = 600_000

/** What {@link WayBack} asks of its stream. */
export interface BackOwner {
  /** In how many ms a better route may be tried: 0 for now, undefined where there is none. */
  dueMs(): number | undefined
  /** Opens a better route after the last cursor received; the stream goes on as it is. */
  openBeside(call: Call): Promise<StreamReply>
  /** It is open: the stream goes on there. False where it cannot take it. */
  take(reply: StreamReply, scope: Scope): boolean
}

/**
 * Tries the better route of a stream beside the one that is read. A try that fails disturbs nothing, and the next one comes
 * after twice the time.
 */
export class WayBack {
  readonly #call: Call
  readonly #timeoutMs: number
  readonly #owner: BackOwner
  readonly #firstMs: number
  #waitMs: number
  #timer: Timer | undefined
  /** Of the try under way. */
  #trying: Scope | undefined

  constructor(call: Call, backMs: number, timeoutMs: number, owner: BackOwner) {
    this.#call = call
    this.#firstMs = this.#waitMs = backMs
    this.#timeoutMs = timeoutMs
    this.#owner = owner
  }

  /** A route has been opened: the next try is set where there is a better one. */
  opened(): void {
    this.#arm()
  }

  /** A route has worked for a while, or broke at once. */
  dropped(hasWorked: boolean): void {
    this.cancel(undefined)
    if (hasWorked) this.#waitMs = this.#firstMs
    else this.#double()
  }

  /** Nothing is tried any more. */
  cancel(reason: unknown): void {
    this.#timer?.clear()
    this.#timer = undefined
    const scope = this.#trying
    this.#trying = undefined
    scope?.abort(reason)
  }

  #arm(): void {
    const { clock } = this.#call.scope.services
    const dueMs = this.#owner.dueMs()
    this.#timer?.clear()
    this.#timer = undefined
    if (dueMs === undefined || this.#call.scope.isOver) return
    const waitMs = Math.max(dueMs, this.#waitMs * (1 + clock.random() / 4))
    this.#timer = clock.setTimer(() => this.#due(), waitMs)
  }

  #due(): void {
    this.#timer = undefined
    // Nobody looks at it, or a breaker has opened meanwhile.
    if (pageLife().isHidden || this.#owner.dueMs() !== 0) this.#arm()
    else void this.#try()
  }

  async #try(): Promise<void> {
    const { services } = this.#call.scope
    const scope = quiet(this.#call.scope.fork())
    this.#trying = scope
    const call = this.#call.with({ scope })
    const expired = (): CallError =>
      new CallError(
        { code: 'deadline_exceeded', message: 'a better route did not open in time', isRetryable: true },
        call,
      )
    const bounds = { at: services.clock.now() + this.#timeoutMs, expired, discard: discardReply }
    let reply: StreamReply | undefined
    try {
      reply = await bounded<StreamReply>(scope, () => this.#owner.openBeside(call), bounds)
    } catch {
      scope.end()
    }
    if (this.#trying !== scope) return reply && discardReply(reply)
    this.#trying = undefined
    if (reply && this.#owner.take(reply, scope)) return
    if (reply) discardReply(reply)
    scope.abort(undefined)
    this.#double()
    this.#arm()
  }

  #double(): void {
    this.#waitMs = Math.min(this.#waitMs * 2, longestMs)
  }
}

/** A try beside the stream says nothing of how the stream stands. */
function quiet(scope: Scope): Scope {
  scope.setStreamState = noop
  scope.mark = noop
  return scope
}

function noop(): void {}
