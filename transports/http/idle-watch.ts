import type { Services } from '../../src/core/call/scope.ts'
import type { Armed } from '../../src/core/time/clock.ts'

/** Who is told of silence. */
export interface IdleOwner {
  /** @param isNew - nothing was ever heard of this connection. */
  onIdle(isNew: boolean): void
  /** Nothing was heard since `awaitFirst`. */
  onQuiet?(): void
}

/** Tells when a connection has been silent for too long: an entry in the shared deadline list, not a timer of its own. */
export class IdleWatch {
  readonly #services: Services
  readonly #owner: IdleOwner
  #state: 'off' | 'on' | 'over' = 'off'
  #idleMs = 0
  #aliveAt = 0
  #isNew = true
  #armed: Armed | undefined
  #probe: Armed | undefined
  #first: Armed | undefined
  #isPaused = false

  constructor(services: Services, owner: IdleOwner) {
    this.#services = services
    this.#owner = owner
  }

  /** From now on a silence of `idleMs` counts; where one counts already, nothing changes. */
  start(idleMs: number): void {
    if (this.#state !== 'off') return
    this.#state = 'on'
    this.#idleMs = idleMs
    this.#touch()
    this.#arm()
  }

  /** Tells the owner, this once, where nothing is heard for `ms` from now on. */
  awaitFirst(ms: number): void {
    const { clock, deadlines } = this.#services
    this.#first = deadlines.add(clock.now() + ms, () => {
      this.#first = undefined
      this.#owner.onQuiet?.()
    })
  }

  /** Something was heard. */
  alive(): void {
    this.#isNew = false
    this.#forgetFirst()
    this.#touch()
  }

  /** Something must be heard within `ms` from now, this once. */
  expect(ms: number): void {
    if (this.#probe || this.#state === 'over') return
    const since = this.#services.clock.now()
    this.#probe = this.#services.deadlines.add(since + ms, () => {
      this.#probe = undefined
      if (this.#aliveAt <= since && !this.#isPaused) this.#owner.onIdle(this.#isNew)
    })
  }

  /** Nothing can be heard while the wire is not read. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#touch()
  }

  stop(): void {
    this.#state = 'over'
    const { deadlines } = this.#services
    if (this.#armed) deadlines.remove(this.#armed)
    if (this.#probe) deadlines.remove(this.#probe)
    this.#forgetFirst()
  }

  #touch(): void {
    this.#aliveAt = this.#services.clock.now()
  }

  #forgetFirst(): void {
    if (this.#first) this.#services.deadlines.remove(this.#first)
    this.#first = undefined
  }

  #arm(): void {
    this.#armed = this.#services.deadlines.add(this.#aliveAt + this.#idleMs, () => this.#expired())
  }

  #expired(): void {
    if (this.#isPaused) this.#touch()
    if (this.#services.clock.now() - this.#aliveAt < this.#idleMs) this.#arm()
    else this.#owner.onIdle(this.#isNew)
  }
}
