import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Services } from '../../src/core/call/scope.ts'
import { Scope } from '../../src/core/call/scope.ts'
import { systemClock } from '../../src/core/time/clock.ts'
import type {
  HttpControl,
  HttpEngine,
  HttpFault,
  HttpHead,
  HttpRequest,
  HttpScope,
  HttpSink,
} from '../../transports/http/contract.ts'

/** A sink that keeps everything it is told, and lets a test wait for it. */
export class RecordingSink implements HttpSink {
  /** Every report in order: `head`, `data`, `end`, `error`, `abort`. */
  readonly events: string[] = []
  readonly chunks: Uint8Array[] = []
  headInfo: HttpHead | undefined
  control: HttpControl | undefined
  trailers: HeaderMap | undefined
  fault: HttpFault | undefined
  reason: unknown
  /** Called after each report. */
  react: (event: string) => void = () => undefined
  readonly #waiting = new Set<() => void>()

  onHead(head: HttpHead, control: HttpControl): void {
    this.headInfo = head
    this.control = control
    this.#note('head')
  }

  onData(bytes: Uint8Array): void {
    this.chunks.push(bytes)
    this.#note('data')
  }

  onEnd(trailers: HeaderMap): void {
    this.trailers = trailers
    this.#note('end')
  }

  onError(fault: HttpFault): void {
    this.fault = fault
    this.#note('error')
  }

  onAbort(reason: unknown): void {
    this.reason = reason
    this.#note('abort')
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  get size(): number {
    return this.chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  /** Resolves when `condition` holds; looked at after each report. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  /** Resolves on the first report of this kind. */
  on(event: 'head' | 'data' | 'end' | 'error' | 'abort'): Promise<void> {
    return this.until(() => this.events.includes(event))
  }

  /** Resolves when the exchange is over, well or not. */
  over(): Promise<void> {
    return this.until(() => this.events.some((event) => event === 'end' || event === 'error' || event === 'abort'))
  }

  #note(event: string): void {
    this.events.push(event)
    this.react(event)
    for (const look of [...this.#waiting]) look()
  }
}

/** A scope as a call has one. */
export function newScope(): Scope {
  return new Scope({ clock: systemClock } as Services)
}

/** Counts what an engine leaves on a scope. */
export class CountingScope implements HttpScope {
  readonly isOver = false
  listeners = 0

  onAbort(): () => void {
    this.listeners++
    let isRemoved = false
    return () => {
      if (!isRemoved) this.listeners--
      isRemoved = true
    }
  }

  mark(): void {}

  endIfLate(): boolean {
    return false
  }
}

/** Sends, and gives the sink that is told. */
export function exchange(
  engine: HttpEngine,
  request: Partial<HttpRequest> & { readonly url: string },
  scope: HttpScope = newScope(),
): RecordingSink {
  const sink = new RecordingSink()
  engine.send({ method: 'GET', headers: {}, ...request }, sink, scope)
  return sink
}

/** Gives everything that is under way in this process its turn, several times over; no time is waited for. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
