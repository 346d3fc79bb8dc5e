/** One message that waits to be sent, or for its acknowledgement. */
export interface QueuedMessage {
  readonly message: unknown
  /** Safe to send again under this key. */
  readonly key: string | undefined
}

/** One attempt's hold on what is to be sent. */
export interface SendLease {
  /** The next message to write; it stays in flight until `done` or `failed`. */
  next(): QueuedMessage | undefined
  /** The message has left: from now on a drop makes its outcome unknown. */
  written(entry: QueuedMessage): void
  /** Written where nothing is acknowledged, acknowledged otherwise. */
  done(entry: QueuedMessage): void
  /** The server refused this message, or it cannot be written. */
  failed(entry: QueuedMessage, error: unknown): void
  /** The attempt is over; what it held goes back, or rejects as unknown outcome. */
  release(reason: unknown): void
}

/** What a transport takes the messages of a channel from. */
export interface Sends {
  /** No message will follow. */
  readonly isEnded: boolean
  /** `wake` says that there is something to do. */
  lease(wake: () => void): SendLease
}
