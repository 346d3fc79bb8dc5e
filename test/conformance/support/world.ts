import { getEventListeners } from 'node:events'
import {
  type Call,
  type CallError,
  type Client,
  type ClientOptions,
  combineTelemetry,
  createClient,
  type IdempotencyOption,
  isCallError,
  type Telemetry,
  type TelemetryEvent,
} from 'polywire'
import { type VirtualClock, virtualClock } from 'polywire/testing'
import { expect } from 'vitest'
import { eventually, playUntil, turns } from './eventually.ts'
import type { Api, Harness, Peer } from './harness.ts'

/** Of a client in a test: everything but transports and time. */
export interface WorldOptions extends Partial<Omit<ClientOptions<never>, 'transports' | 'clock' | 'telemetry'>> {
  /** Where the client looks for the server instead of where it is. */
  readonly origin?: string
  /** Listens beside the world itself. */
  readonly telemetry?: Telemetry
  /** The clock jumps over every wait that a policy announces. */
  readonly skipsWaits?: boolean
  /** Of the transport. */
  readonly idempotency?: IdempotencyOption
  /** What the clock's chance gives. @defaultValue always 0.5 */
  readonly random?: () => number
}

/** One server, one client with the whole default chain, and a clock that stands still. */
export class World {
  readonly harness: Harness
  readonly peer: Peer
  readonly clock: VirtualClock
  readonly client: Client<any>
  readonly api: Api
  readonly events: TelemetryEvent[] = []
  /** Every attempt, as it went to the transport. */
  readonly attempts: Call[] = []
  /** What calls have failed with inside of the client, whatever their face shows. */
  readonly errors: CallError[] = []
  readonly #signals: AbortSignal[] = []
  readonly #skipsWaits: boolean

  constructor(harness: Harness, peer: Peer, options: WorldOptions) {
    const { origin = peer.origin, skipsWaits = false, telemetry = {}, idempotency, random, ...rest } = options
    const own = idempotency === undefined ? {} : { idempotency }
    this.harness = harness
    this.peer = peer
    this.#skipsWaits = skipsWaits
    this.clock = virtualClock(random)
    this.client = createClient({
      ...rest,
      transports: { [harness.protocol]: harness.transport(origin, own) },
      clock: this.clock,
      telemetry: combineTelemetry(telemetry, {
        attempt: (call) => {
          this.attempts.push(call)
          return undefined
        },
        call: () => (error) => {
          if (isCallError(error)) this.errors.push(error)
        },
        event: (event) => this.#saw(event),
      }),
    })
    this.api = harness.api(this.client, origin, own)
  }

  /** A controller whose signal must have no listener left in the end. */
  controller(): AbortController {
    const controller = new AbortController()
    this.#signals.push(controller.signal)
    return controller
  }

  /** The wait that a policy has announced, in ms. */
  async announcedWait(): Promise<number> {
    await eventually(() => this.events.some((event) => 'waitMs' in event), 'a wait is announced')
    await turns()
    return this.events.findLast((event) => 'waitMs' in event)?.waitMs ?? 0
  }

  /** Resolves when a connection to a server that says nothing is on its way. */
  connecting(mute: { readonly openSockets: number }): Promise<void> {
    const isWireless = this.harness.protocol === 'memory'
    return eventually(() => (isWireless ? this.attempts.length : mute.openSockets) > 0, 'a connection')
  }

  /** Resolves when the attempt in flight has come to `phase`. */
  reached(phase: string): Promise<void> {
    return eventually(() => this.attempts.at(-1)?.scope.root.phase === phase, `phase ${phase}`)
  }

  /** Lets time pass until `outcome` settles: a link keeps a distance between two attempts, and announces it to nobody. */
  played<T>(outcome: Promise<T>): Promise<T> {
    return playUntil(outcome, this.clock)
  }

  /** Resolves when the server has seen `count` requests. */
  served(count = 1): Promise<void> {
    return eventually(() => this.peer.seen.length >= count, `${count} requests at the server`)
  }

  /** Resolves when the server is busy with nothing any more: the client has let go. */
  async released(): Promise<void> {
    await turns()
    await this.clock.advance(this.harness.graceMs ?? 0)
    await eventually(() => this.peer.openExchanges === 0, 'the server is busy with nothing')
  }

  /** Resolves when a refresh of a token has begun. */
  refreshing(): Promise<void> {
    return eventually(() => this.events.some((event) => event.type === 'refresh'), 'a refresh')
  }

  /** Closes the client and looks for what it left behind. */
  async leave(): Promise<void> {
    await this.client.close()
    await this.released()
    if (!this.harness.isFetch) await eventually(() => this.peer.openSockets === 0, 'no socket is open at the server')
    await turns()
    expect(this.clock.timers, 'timers left').toBe(0)
    for (const signal of this.#signals) expect(getEventListeners(signal, 'abort'), 'listeners left').toEqual([])
  }

  #saw(event: TelemetryEvent): void {
    this.events.push(event)
    if (this.#skipsWaits && 'waitMs' in event) void turns().then(() => this.clock.advance(event.waitMs + 1))
  }
}

/** Runs one test in a world of its own, and then looks for sockets, timers, listeners and rejections left behind. */
export async function inWorld(
  harness: Harness,
  options: WorldOptions,
  run: (world: World) => Promise<void>,
): Promise<void> {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  const peer = await harness.start()
  const world = new World(harness, peer, options)
  try {
    await run(world)
    await world.leave()
    expect(unhandled, 'unhandled rejections').toEqual([])
  } finally {
    process.off('unhandledRejection', note)
    await world.client.close()
    await peer.close()
  }
}

/** What a call rejected with; a call that resolves fails the test. */
export async function failureOf(call: Promise<unknown>): Promise<any> {
  const outcome = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('value' in outcome)
    throw new Error(`resolved with ${JSON.stringify(outcome.value)?.slice(0, 100)} where it should fail`)
  return outcome.error
}
