import type { Call, CallError, Scope, Telemetry, TelemetryEvent } from 'polywire'
import { isCallError } from 'polywire'
import { type Protocol, protocols } from '../servers/chaos.ts'

/** What is counted of each protocol. */
export interface Tally {
  calls: number
  /** Requests and openings that went out. */
  attempts: number
  retries: number
  /** Calls that were sent again with a new token. */
  replays: number
  resumes: number
  lost: number
  duplicated: number
  errors: number
}

/** One thing that happened to a call. */
export type Moment =
  | { readonly kind: 'sent'; readonly attempt: number }
  | { readonly kind: 'answered'; readonly attempt: number; readonly tookMs: number }
  | { readonly kind: 'failed'; readonly attempt: number; readonly error: unknown }
  | { readonly kind: 'wait'; readonly why: 'retry' | 'resume'; readonly waitMs: number }
  | { readonly kind: 'refresh' }
  | { readonly kind: 'resumed'; readonly after: string | undefined }
  | { readonly kind: 'ended'; readonly tookMs: number; readonly error: unknown }

/** One call and all that happened to it. */
export interface Track {
  readonly id: number
  readonly via: string
  /** The operation, without its package. */
  readonly label: string
  readonly startedAt: number
  readonly moments: Moment[]
}

/** Turns what the client tells into tracks and tallies; a listener sees each moment as it happens. */
export class Recorder implements Telemetry {
  readonly tallies: Readonly<Record<Protocol, Tally>>
  readonly tracks: Track[] = []
  listener: (track: Track, moment: Moment, atMs: number) => void = () => {}
  refreshes = 0
  /** What a shared socket waits before it is opened again: its streams wait with it, and for nothing else. */
  readonly #socketWaits = new Map<string, number>()
  readonly #startedAt = performance.now()
  readonly #byScope = new WeakMap<Scope, Track>()

  constructor() {
    const blank = (): Tally => ({
      calls: 0,
      attempts: 0,
      retries: 0,
      replays: 0,
      resumes: 0,
      lost: 0,
      duplicated: 0,
      errors: 0,
    })
    this.tallies = Object.fromEntries(protocols.map((protocol) => [protocol, blank()])) as never
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt
  }

  call(call: Call): (error?: unknown) => void {
    const { name, via } = call.operation
    const label = name.replace(/^[\w.]+\./, '')
    const track: Track = { id: this.tracks.length + 1, via, label, startedAt: this.elapsedMs, moments: [] }
    this.tracks.push(track)
    this.#byScope.set(call.scope.root, track)
    this.#count(via, 'calls')
    return (error) => {
      if (error !== undefined) this.#count(via, 'errors')
      this.#note(call, { kind: 'ended', tookMs: this.elapsedMs - track.startedAt, error })
    }
  }

  attempt(call: Call): (error?: unknown) => void {
    const { attempt, operation } = call
    const sentAt = this.elapsedMs
    if (this.#isReplay(call)) this.#count(operation.via, 'replays')
    this.#count(operation.via, 'attempts')
    this.#note(call, { kind: 'sent', attempt })
    return (error) => {
      if (error !== undefined) this.#note(call, { kind: 'failed', attempt, error })
      else this.#note(call, { kind: 'answered', attempt, tookMs: this.elapsedMs - sentAt })
    }
  }

  event(event: TelemetryEvent): void {
    if (event.type === 'refresh') {
      this.refreshes++
      this.#note(event.call, { kind: 'refresh' })
    } else if (event.type === 'reconnect') {
      this.#socketWaits.set(event.via, event.waitMs)
    } else if (event.type === 'retry' || event.type === 'resume') {
      const { via } = event.call.operation
      if (event.type === 'retry') this.#count(via, 'retries')
      const waitMs = event.waitMs || (this.#socketWaits.get(via) ?? 0)
      this.#note(event.call, { kind: 'wait', why: event.type, waitMs })
    } else if (event.type === 'resumed') {
      this.#count(event.call.operation.via, 'resumes')
      this.#note(event.call, { kind: 'resumed', after: event.cursor })
    }
  }

  /** The last attempt was refused for its token, and no wait came since. */
  #isReplay(call: Call): boolean {
    const last = this.#byScope.get(call.scope.root)?.moments.findLast(({ kind }) => kind !== 'refresh')
    return last?.kind === 'failed' && isCallError(last.error) && last.error.code === 'unauthenticated'
  }

  /** Calls that are no part of the show, such as those for a token, are on no tally. */
  #count(via: string, what: keyof Tally): void {
    const tally = this.tallies[via as Protocol]
    if (tally) tally[what]++
  }

  #note(call: Call, moment: Moment): void {
    const track = this.#byScope.get(call.scope.root)
    if (!track) return
    track.moments.push(moment)
    this.listener(track, moment, this.elapsedMs)
  }
}

/** An error in a few words. */
export function inShort(error: unknown): string {
  if (!isCallError(error)) return String(error)
  const { code, status, phase, retryAfterMs }: CallError = error
  const what = status === undefined ? code : `${code} (${status})`
  const wait = retryAfterMs === undefined ? '' : `, come back in ${retryAfterMs / 1000} s`
  return `${what} in phase ${phase}${wait}`
}
