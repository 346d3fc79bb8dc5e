import type { Clock } from '../../src/core/time/clock.ts'

/** A service, those who call it, and what goes wrong. */
export interface Scenario {
  readonly clients: number
  /** Of each client, on average; they come by chance. */
  readonly callsPerSecond: number
  /** Each call is one of so many operations, by chance. */
  readonly operations: number
  /** Requests that the service can answer in a second. */
  readonly capacity: number
  /** While it lasts, every request is answered by 503 at once; seconds. */
  readonly outage: { readonly fromS: number; readonly toS: number } | undefined
  readonly endS: number
  /**
   * `bounded`: what would wait for more than a second is answered by 503 at once. `unbounded`: everything is done in the
   * order it came, also what nobody waits for any more.
   */
  readonly queue: 'bounded' | 'unbounded'
  /** Stands on every 503; 0 for none. */
  readonly retryAfterMs: number
  /** Attempts that fail by chance when all is well, from 0 to 1. */
  readonly errorRate: number
  /** After this a client gives an attempt up. */
  readonly attemptTimeoutMs: number
  /** Bounds a call with all its attempts and waits. */
  readonly deadlineMs: number
}

/** One call, as its client sees it. */
export interface SimulatedCall {
  readonly operation: number
  readonly startedAt: number
  readonly deadline: number
  attempt: number
  /** For what the client has to remember of it. */
  paid: number
}

/** How a client deals with failure. */
export interface SimulatedClient {
  /** How long to wait before the first attempt; undefined where the call fails unsent. */
  begin(call: SimulatedCall): number | undefined
  /** How long to wait before another attempt; undefined where this was the last. */
  failed(call: SimulatedCall, hintMs: number): number | undefined
  succeeded(call: SimulatedCall): void
}

/** One way of retrying, as its documentation describes it. */
export interface Policy {
  readonly name: string
  /** Where its rules stand. */
  readonly source: string
  make(clock: Clock): SimulatedClient
}

/** What became of it. */
export interface Outcome {
  readonly calls: number
  readonly requests: number
  /** Requests for each call that was started during the outage. */
  readonly amplification: number
  /** The busiest second after the outage, against the capacity. */
  readonly peak: number
  /** Seconds from the end of the outage until calls are answered within two seconds again, and stay so; Infinity for not. */
  readonly recoveryS: number
  /** Share of calls that failed. */
  readonly failed: number
  /** Requests of each second against the capacity. */
  readonly load: readonly number[]
  /** Share of the calls of each second that were answered within two seconds. */
  readonly answered: readonly number[]
}

const quickMs = 2000
const shedMs = 1000

/** Runs a scenario from its first to its last second, in time of its own; `random` decides all that is left to chance. */
export function simulate(scenario: Scenario, policy: Policy, random: () => number): Outcome {
  return new Simulation(scenario, policy, random).run()
}

class Simulation {
  readonly #scenario: Scenario
  readonly #random: () => number
  readonly #events = new Heap()
  readonly #clients: readonly SimulatedClient[]
  readonly #seconds: { requests: number; calls: number; quick: number }[]
  #now = 0
  /** When the service has done what waits in its queue. */
  #freeAt = 0
  #calls = 0
  #failed = 0

  constructor(scenario: Scenario, policy: Policy, random: () => number) {
    this.#scenario = scenario
    this.#random = random
    const clock: Clock = {
      now: () => this.#now,
      wallNow: () => this.#now,
      random,
      setTimer: () => ({ clear: () => {}, hold: () => {} }),
    }
    this.#clients = Array.from({ length: scenario.clients }, () => policy.make(clock))
    this.#seconds = Array.from({ length: scenario.endS }, () => ({ requests: 0, calls: 0, quick: 0 }))
  }

  run(): Outcome {
    this.#events.push(0, () => this.#arrive())
    for (let next = this.#events.pop(); next; next = this.#events.pop()) {
      if (next.at >= this.#scenario.endS * 1000) break
      this.#now = next.at
      next.run()
    }
    return this.#outcome()
  }

  /** A call comes, and with it the time of the next. */
  #arrive(): void {
    const { clients, callsPerSecond, operations, deadlineMs } = this.#scenario
    const gapMs = (-Math.log(1 - this.#random()) * 1000) / (clients * callsPerSecond)
    this.#events.push(this.#now + gapMs, () => this.#arrive())
    const client = this.#clients[Math.floor(this.#random() * clients)] as SimulatedClient
    const operation = Math.floor(this.#random() * operations)
    this.#calls++
    this.#second(this.#now).calls++
    const startedAt = this.#now
    this.#begin(client, { operation, startedAt, deadline: startedAt + deadlineMs, attempt: 1, paid: 0 })
  }

  #begin(client: SimulatedClient, call: SimulatedCall): void {
    const waitMs = client.begin(call)
    if (waitMs === undefined) this.#failed++
    else if (waitMs === 0) this.#send(client, call)
    else this.#events.push(this.#now + waitMs, () => this.#begin(client, call))
  }

  #send(client: SimulatedClient, call: SimulatedCall): void {
    const { capacity, queue, errorRate, retryAfterMs, attemptTimeoutMs } = this.#scenario
    this.#second(this.#now).requests++
    const freeAt = Math.max(this.#freeAt, this.#now)
    const isShed = queue === 'bounded' && freeAt - this.#now > shedMs
    if (this.#isDown() || isShed) this.#fail(client, call, retryAfterMs)
    else if (errorRate > 0 && this.#random() < errorRate) this.#fail(client, call, 0)
    else {
      this.#freeAt = freeAt + 1000 / capacity
      const isInTime = this.#freeAt - this.#now <= attemptTimeoutMs
      if (isInTime) this.#events.push(this.#freeAt, () => this.#succeed(client, call))
      else this.#events.push(this.#now + attemptTimeoutMs, () => this.#fail(client, call, 0))
    }
  }

  #fail(client: SimulatedClient, call: SimulatedCall, hintMs: number): void {
    const waitMs = client.failed(call, hintMs)
    if (waitMs === undefined || this.#now + waitMs >= call.deadline) {
      this.#failed++
      return
    }
    call.attempt++
    this.#events.push(this.#now + waitMs, () => this.#send(client, call))
  }

  #succeed(client: SimulatedClient, call: SimulatedCall): void {
    client.succeeded(call)
    if (this.#now - call.startedAt <= quickMs) this.#second(call.startedAt).quick++
  }

  #isDown(): boolean {
    const { outage } = this.#scenario
    return outage !== undefined && this.#now >= outage.fromS * 1000 && this.#now < outage.toS * 1000
  }

  #second(at: number): { requests: number; calls: number; quick: number } {
    return this.#seconds[Math.floor(at / 1000)] as { requests: number; calls: number; quick: number }
  }

  #outcome(): Outcome {
    const { outage, capacity, endS } = this.#scenario
    const { fromS, toS } = outage ?? { fromS: 0, toS: endS }
    const during = this.#seconds.slice(fromS, toS)
    // Calls of the last seconds may still wait.
    const after = this.#seconds.slice(toS, endS - quickMs / 1000)
    const lastBad = after.findLastIndex(({ calls, quick }) => quick < calls * 0.99)
    const total = (key: 'requests' | 'calls', of = this.#seconds) => of.reduce((sum, each) => sum + each[key], 0)
    return {
      calls: this.#calls,
      requests: total('requests'),
      amplification: total('requests', during) / total('calls', during),
      peak: Math.max(0, ...after.map(({ requests }) => requests)) / capacity,
      recoveryS: lastBad === after.length - 1 && after.length > 0 ? Number.POSITIVE_INFINITY : lastBad + 1,
      failed: this.#failed / this.#calls,
      load: this.#seconds.map(({ requests }) => requests / capacity),
      answered: this.#seconds.map(({ calls, quick }) => (calls === 0 ? 1 : quick / calls)),
    }
  }
}

interface Event {
  readonly at: number
  readonly run: () => void
}

/** The earliest event first. */
class Heap {
  readonly #events: Event[] = []

  push(at: number, run: () => void): void {
    const events = this.#events
    let place = events.length
    while (place > 0) {
      const parent = (place - 1) >> 1
      const above = events[parent] as Event
      if (above.at <= at) break
      events[place] = above
      place = parent
    }
    events[place] = { at, run }
  }

  pop(): Event | undefined {
    const events = this.#events
    const first = events[0]
    const last = events.pop()
    if (!last || events.length === 0) return first
    let place = 0
    for (;;) {
      let child = place * 2 + 1
      if (child >= events.length) break
      if (child + 1 < events.length && (events[child + 1] as Event).at < (events[child] as Event).at) child++
      if ((events[child] as Event).at >= last.at) break
      events[place] = events[child] as Event
      place = child
    }
    events[place] = last
    return first
  }
}
