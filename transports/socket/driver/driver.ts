import type { CloseVerdict } from '../wire-adapter.ts'

/** How a socket ended: one normalised event, whatever the driver reports. */
export interface SocketEnd {
  /** The close code; 1006 where no close frame came. */
  readonly code: number
  readonly reason: string
  readonly wasClean: boolean
  /** How far it had come: it was never open, its hello was not accepted yet, or it was in use. */
  readonly phase: 'connect' | 'hello' | 'open'
  /** HTTP status of a refused upgrade, where the driver sees it. */
  readonly status?: number | undefined
  /** What that status means, and the wait that its headers ask for. */
  readonly refusal?: CloseVerdict | undefined
  readonly cause?: unknown
}

/** The server lacks the protocol that is wanted: no other attempt changes that. */
export const noSubprotocol: CloseVerdict = {
  action: 'fatal',
  failure: {
    code: 'failed_precondition',
    message:
      'the server picked none of the offered sub-protocols: check the path, and which protocol the server speaks',
  },
  closeCode: 4406,
}

/** Where a driver reports to; every socket ends with exactly one `onEnd`. */
export interface SocketSink {
  onOpen(): void
  onFrame(frame: string | Uint8Array): void
  /** A sign of life below the frames: a protocol ping or pong. */
  onAlive(): void
  onEnd(end: SocketEnd): void
}

/** What a socket is opened with. */
export interface SocketRequest {
  readonly url: string
  readonly subprotocols: readonly string[]
  /** Names in lower case; only where the driver takes headers. */
  readonly headers: Readonly<Record<string, string>>
  readonly maxFrameBytes: number
}

/** One open or opening socket. */
export interface SocketHandle {
  /** Bytes that were written and have not left. */
  readonly bufferedAmount: number
  /** Bytes that have come in, those of a frame under way included; undefined where nobody sees them. */
  readonly bytesRead?: number | undefined
  /** False where the socket is not open. */
  send(frame: string | Uint8Array): boolean
  /** Starts the closing handshake. */
  close(code: number, reason: string): void
  /** Drops the connection at once. */
  terminate(): void
  /** A ping of the protocol itself, which every server answers. */
  ping?(): void
  /** Reads no further: back-pressure that the server feels. */
  pause?(): void
  resume?(): void
  /** Whether the process stays alive for it. */
  hold?(isHeld: boolean): void
}

/** One kind of WebSocket. */
export interface SocketDriver {
  readonly name: string
  readonly capabilities: {
    /** The status and Retry-After of a refused upgrade are seen. */
    readonly handshakeStatus: boolean
    readonly protocolPing: boolean
    /** The handshake can carry headers. */
    readonly headers: boolean
    readonly pause: boolean
  }
  /** Never throws but for a request that no socket can be opened with. */
  open(request: SocketRequest, sink: SocketSink): SocketHandle
}

/** The part of a WHATWG WebSocket that is used; structural, so that the published types need no DOM. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  /** The sub-protocol that the server picked. */
  readonly protocol?: string
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send(data: any): void
  close(code?: number, reason?: string): void
}

/** A WebSocket class: a platform's own, a mock, `ws`. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocketLike
