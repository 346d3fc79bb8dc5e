import {
  type Call,
  CallError,
  type Code,
  defineOperation,
  defineStream,
  type OperationInfo,
  type ServerStream,
  type Unary,
} from 'polywire'
import { memoryTransport, withCursor } from 'polywire/testing'
import { describeTransport } from './describe-transport.ts'
import { type Deed, feedLength, type Harness, type Peer, serverText } from './support/harness.ts'
import { Plan } from './support/plan.ts'

/** Proves the suite itself: the same contract without a wire. */
const operation = (changes: Partial<OperationInfo>) =>
  ({
    name: 'thing',
    protocol: 'memory',
    via: 'memory',
    kind: 'unary',
    isIdempotent: true,
    binding: undefined,
    ...changes,
  }) as OperationInfo
const read = defineOperation<Unary<string, string> & any>(operation({ name: 'read' }))
const write = defineOperation<Unary<string, string> & any>(operation({ name: 'write', isIdempotent: false }))
const feed = defineStream<ServerStream<string, number> & any>(
  operation({ name: 'feed', kind: 'server_stream', isResumable: true }),
)
const live = defineStream<ServerStream<string, number> & any>(operation({ name: 'live', kind: 'server_stream' }))

class MemoryPeer implements Peer {
  static readonly byOrigin = new Map<string, MemoryPeer>()
  readonly plans = new Plan()
  readonly openSockets = 0
  readonly origin = `memory:${MemoryPeer.byOrigin.size}`

  constructor() {
    MemoryPeer.byOrigin.set(this.origin, this)
  }

  get seen() {
    return this.plans.seen
  }

  get openExchanges() {
    return this.plans.open
  }

  plan(...deeds: Deed[]): void {
    this.plans.add(deeds)
  }

  accept(token: string): void {
    this.plans.accept(token)
  }

  async close(): Promise<void> {}

  handle(call: Call): unknown {
    const { credential, cursor, scope } = call
    const token = credential?.secret
    const leave = this.plans.enter()
    scope.onEnd(leave)
    const deed = this.plans.take({ token, text: String(call.input), cursor })
    const failure = this.plans.refusesToken(token) ? { code: 'unauthenticated' as const } : failureOf(deed, call)
    const { kind } = call.operation
    if (failure && deed.do !== 'drop') {
      leave()
      throw new CallError(
        { message: 'as planned', phase: 'headers', sent: 'yes', serverMessage: serverText, ...failure },
        call,
      )
    }
    if (deed.do === 'stall') scope.mark('body', 'yes')
    if (deed.do === 'hang' || deed.do === 'stall') return new Promise(() => {})
    if (kind === 'unary') return Promise.resolve(call.input).finally(leave)
    scope.mark('stream', 'yes')
    return this.#feed(call, deed, leave)
  }

  async *#feed(call: Call, deed: Deed, leave: () => void) {
    const last = deed.do === 'drop' ? Number(call.cursor ?? 0) + deed.after : feedLength
    try {
      for (let n = Number(call.cursor ?? 0) + 1; n <= last; n++)
        yield call.operation.isResumable ? withCursor(n, String(n)) : n
      const failure = failureOf(deed, call)
      if (failure) throw new CallError({ message: 'as planned', phase: 'stream', sent: 'yes', ...failure }, call)
      await new Promise((resolve) => call.scope.onEnd(() => resolve(undefined)))
    } finally {
      leave()
    }
  }
}

function failureOf(deed: Deed, call: Call) {
  if (deed.do === 'refuse') return { code: deed.as as Code, isRetryable: deed.as === 'unavailable' }
  if (deed.do === 'busy')
    return {
      code: 'unavailable' as const,
      isRetryable: true,
      isUnexecuted: true,
      retryAfterMs: deed.retryAfterS * 1000,
    }
  if (deed.do === 'reset' || deed.do === 'drop') return { code: 'unavailable' as const, isRetryable: true }
  if (deed.do === 'cut') return { code: 'data_loss' as const, isRetryable: true, phase: 'body' as const }
  if (deed.do === 'flood') return { code: 'resource_exhausted' as const }
  if (deed.do === 'garble') return { code: 'internal' as const }
  if (call.operation.name === 'mute') return { code: 'unavailable' as const }
  return undefined
}

const harness: Harness = {
  protocol: 'memory',
  has: ['write', 'feed', 'live'],
  start: async () => new MemoryPeer(),
  transport: (origin) =>
    memoryTransport({
      handle(call) {
        const peer = MemoryPeer.byOrigin.get(origin)
        if (peer) return peer.handle(call)
        if (origin.startsWith('https:')) {
          call.scope.root.phase = 'connect'
          call.scope.root.sent = 'no'
          return new Promise(() => {})
        }
        const cause = new Error('nobody listens')
        throw new CallError(
          { code: 'unavailable', message: 'refused', phase: 'connect', sent: 'no', isRetryable: true, cause },
          call,
        )
      },
    }),
  api: (client) => ({
    read: (text, options) => client.call(read, text, options),
    write: (text, options) => client.call(write, text, options),
    feed: (options) => client.call(feed, '', options),
    live: (options) => client.call(live, '', options),
  }),
  refusals: [
    { name: 'unavailable', code: 'unavailable', isRetryable: true },
    { name: 'not_found', code: 'not_found' },
    { name: 'permission_denied', code: 'permission_denied' },
  ],
  unavailable: 'unavailable',
  garbled: { code: 'internal' },
}

describeTransport('memory', harness)
