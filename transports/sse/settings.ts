import type { PageLife } from '../../src/core/time/page-life.ts'
import type { HttpControl } from '../http/contract.ts'
import type { EventParsers } from '../http/event-stream/parser.ts'
import type { EventReader } from './batch.ts'
import type { SseLife } from './life.ts'
import type { SseQuiet } from './quiet.ts'

/** Of a connection that others may read, too. */
export interface SseControl extends HttpControl {
  /** It may be dead: nobody is to join it. */
  distrust?(): void
}

/** How one event stream is read. */
export interface SseSettings {
  readonly reader: EventReader
  readonly life: SseLife
  /** Silence after which the connection is taken for dead; ms. Undefined: 45 s once a comment has come. */
  readonly idleTimeoutMs: number | undefined
  readonly maxEventBytes: number
  /** Made for `maxEventBytes`; shared by all streams of a transport. */
  readonly parsers: EventParsers
  /** The request carries `Last-Event-ID` to another origin than the page's. */
  readonly isPreflighted?: boolean
  /** Who is told of a stream that brings nothing. @defaultValue nobody */
  readonly quiet?: SseQuiet | undefined
  /** @defaultValue the page that this code runs in */
  readonly page?: PageLife | undefined
}
