import { isObject } from '../../../src/core/tag.ts'
/** The numbers of the hub protocol's messages. */
export const kinds = {
  invocation: 1,
  item: 2,
  completion: 3,
  streamInvocation: 4,
  cancel: 5,
  ping: 6,
  close: 7,
  ack: 8,
  sequence: 9,
} as const

/** A message of the hub protocol; each member is looked at where it is read. */
export interface HubMessage {
  readonly type: number
  readonly invocationId?: string
  readonly target?: string
  readonly arguments?: readonly unknown[]
  readonly item?: unknown
  readonly result?: unknown
  readonly error?: string
  readonly allowReconnect?: boolean
  readonly sequenceId?: number
}

/** Ends each message. */
export const separator = '\u001e'

/**
 * Reads the messages of a frame; the answer to the handshake is one without a type.
 *
 * @throws {TypeError} or {SyntaxError} where one is none.
 */
export function parseMessages(frame: string | Uint8Array): HubMessage[] {
  if (typeof frame !== 'string') throw new TypeError('the server speaks MessagePack: the JSON hub protocol is needed')
  const parts = frame.split(separator)
  if (parts.pop() !== '') throw new TypeError('a message of the hub is cut off: it does not end with its separator')
  return parts.map((part) => {
    const message: unknown = JSON.parse(part)
    if (!isObject(message) || Array.isArray(message)) throw new TypeError('a message of the hub is a JSON object')
    const wrong = wrongMember(message as HubMessage)
    if (wrong) throw new TypeError(`a message of the hub has a wrong ${wrong}`)
    return message as HubMessage
  })
}

/** Messages that are counted where both sides reconnect with state, since they are sent again. */
export const isCounted = ({ type }: HubMessage): boolean => type >= kinds.invocation && type <= kinds.cancel

function wrongMember({
  type,
  invocationId,
  target,
  arguments: args,
  error,
  sequenceId,
}: HubMessage): string | undefined {
  if (type !== undefined && typeof type !== 'number') return 'type'
  if (error !== undefined && error !== null && typeof error !== 'string') return 'error'
  if (type === kinds.invocation) {
    if (typeof target !== 'string' || target === '') return 'target'
    return args === undefined || Array.isArray(args) ? undefined : 'list of arguments'
  }
  const isOfInvocation = type === kinds.item || type === kinds.completion
  if (isOfInvocation && (typeof invocationId !== 'string' || invocationId === '')) return 'invocationId'
  const isOfSequence = type === kinds.ack || type === kinds.sequence
  return isOfSequence && !Number.isSafeInteger(sequenceId) ? 'sequenceId' : undefined
}
