import type { Armed } from '../../src/core/deadline-list.ts'
import type { Services } from '../../src/core/services.ts'

/** Tells when a connection has been silent for too long: an entry in the shared deadline list, not a timer of its own. */
export class IdleWatch {
  readonly #services: Services
  readonly #onIdle: () => void
  #state: 'off' | 'on' | 'over' = 'off'
  #idleMs = 0
  #aliveAt = 0
  #armed: Armed | undefined
  #isPaused = false

  constructor(services: Services, onIdle: () => void) {
    this.#services = services
    this.#onIdle = onIdle
  }

  /** From now on a silence of `idleMs` counts; where one counts already, nothing changes. */
  start(idleMs: number): void {
    if (this.#state !== 'off') return
    this.#state = 'on'
    this.#idleMs = idleMs
    this.alive()
    this.#arm()
  }

  /** Something was heard. */
  alive(): void {
    if (this.#state === 'on') this.#aliveAt = this.#services.clock.now()
  }

  /** Nothing can be heard while the wire is not read. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.alive()
  }

  stop(): void {
    this.#state = 'over'
    if (this.#armed) this.#services.deadlines.remove(this.#armed)
  }

  #arm(): void {
    this.#armed = this.#services.deadlines.add(this.#aliveAt + this.#idleMs, () => this.#expired())
  }

  #expired(): void {
    if (this.#isPaused) this.alive()
    if (this.#services.clock.now() - this.#aliveAt < this.#idleMs) this.#arm()
    else this.#onIdle()
  }
}
