import type { Services } from '../../src/core/call/scope.ts'
import type { Armed } from '../../src/core/time/clock.ts'

/** Who is told of silence. */
export interface IdleOwner {
  /** @param isNew - nothing was ever heard of this connection. */
  onIdle(isNew: boolean): void
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
  #isPaused?: boolean

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

  /** Something was heard. */
  alive(): void {
    this.#isNew = false
    this.#touch()
  }

  /** Something must be heard within `ms` from now, this once. */
  expect(ms: number): void {
    if (this.#probe || this.#state === 'over') return
    const since = this.#services.clock.now()
    this.#probe = this.#services.deadlines.add(since + ms, () => {
      this.#probe = undefined
      // What came before anybody watched was not counted.
      if (this.#aliveAt <= since && !this.#isPaused) this.#owner.onIdle(false)
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
  }

  #touch(): void {
    this.#aliveAt = this.#services.clock.now()
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
