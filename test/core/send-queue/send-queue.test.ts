import { describe, expect, it } from 'vitest'
import { SendQueue, type SendQueueOptions } from '../../../src/core/send-queue/send-queue.ts'
import type { QueuedMessage, SendLease } from '../../../src/core/send-queue/sends.ts'
import { DeadlineList } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

const errors = {
  overflow: () => 'overflow',
  unsent: () => 'unsent',
  expired: () => 'expired',
  unknownOutcome: () => 'unknown outcome',
}

function setUp(options: SendQueueOptions = {}) {
  const clock = manualClock()
  const deadlines = new DeadlineList(clock)
  const sendQueue = new SendQueue(errors, options, { clock, deadlines })
  /** Sends and notes how it went. */
  const outcomes: Record<string, unknown> = {}
  const send = (message: string, key?: string, signal?: AbortSignal) => {
    sendQueue.send(message, key, signal).then(
      () => (outcomes[message] = 'done'),
      (error: unknown) => (outcomes[message] = error),
    )
  }
  return { sendQueue, send, outcomes, clock, deadlines }
}

/** Takes and writes all that is there. */
function writeAll(lease: SendLease): QueuedMessage[] {
  const written: QueuedMessage[] = []
  for (let entry = lease.next(); entry; entry = lease.next()) {
    lease.written(entry)
    written.push(entry)
  }
  return written
}

const messages = (entries: readonly QueuedMessage[]) => entries.map(({ message }) => message)
const settle = () => new Promise(setImmediate)

describe('a send queue', () => {
  it('hands messages to its lease in order, and wakes it for new ones', async () => {
    const { sendQueue, send, outcomes } = setUp()
    send('a')
    let woken = 0
    const lease = sendQueue.lease(() => woken++)
    expect(woken).toBe(1)
    send('b')
    expect(woken).toBe(2)
    const entries = writeAll(lease)
    expect(messages(entries)).toEqual(['a', 'b'])
    for (const entry of entries) lease.done(entry)
    await settle()
    expect(outcomes).toEqual({ a: 'done', b: 'done' })
  })

  it('after a drop puts keyed messages back to the front and rejects plain ones as unknown outcome', async () => {
    const { sendQueue, send, outcomes } = setUp()
    const first = sendQueue.lease(() => {})
    send('a', 'key-a')
    send('b')
    send('c', 'key-c')
    writeAll(first)
    send('d')
    first.next()
    first.release('dropped')
    const second = sendQueue.lease(() => {})
    expect(messages(writeAll(second))).toEqual(['a', 'c', 'd'])
    await settle()
    expect(outcomes).toEqual({ b: 'unknown outcome' })
  })

  it('ignores what an attempt says after it gave its lease back', async () => {
    const { sendQueue, send, outcomes } = setUp()
    const first = sendQueue.lease(() => {})
    send('a', 'key')
    const [entry] = writeAll(first) as [QueuedMessage]
    first.release('dropped')
    first.done(entry)
    expect(first.next()).toBeUndefined()
    await settle()
    expect(outcomes).toEqual({})
    const second = sendQueue.lease(() => {})
    first.release('again')
    second.done(writeAll(second)[0] as QueuedMessage)
    await settle()
    expect(outcomes).toEqual({ a: 'done' })
  })

  it('takes the lease from the attempt before', () => {
    const { sendQueue, send } = setUp()
    send('a')
    const first = sendQueue.lease(() => {})
    first.next()
    const second = sendQueue.lease(() => {})
    expect(messages(writeAll(second))).toEqual(['a'])
  })

  it('counts what is in flight: a server that never acknowledges fills no memory', async () => {
    const { sendQueue, send, outcomes } = setUp({ maxMessages: 2 })
    const lease = sendQueue.lease(() => {})
    send('a')
    send('b')
    const entries = writeAll(lease)
    send('c')
    await settle()
    expect(outcomes).toEqual({ c: 'overflow' })
    lease.done(entries[0] as QueuedMessage)
    send('d')
    await settle()
    expect(outcomes).toEqual({ a: 'done', c: 'overflow' })
  })

  it('counts bytes, and lets one message that is larger than the bound into an empty queue', async () => {
    const { send, outcomes } = setUp({ maxBytes: 10, measure: (message) => String(message).length })
    send('x'.repeat(100))
    send('y')
    await settle()
    expect(outcomes).toEqual({ y: 'overflow' })
  })

  it('is full above its bounds, not at them', async () => {
    const { send, outcomes } = setUp({ maxBytes: 10, maxMessages: 3, measure: (message) => String(message).length })
    for (const message of ['four', 'four!!', 'x']) send(message)
    await settle()
    expect(outcomes).toEqual({ x: 'overflow' })
    const counted = setUp({ maxMessages: 3 })
    for (const message of ['a', 'b', 'c', 'd']) counted.send(message)
    await settle()
    expect(counted.outcomes).toEqual({ d: 'overflow' })
  })

  it('has the bytes of what has left free again, whatever way it left, and measures nothing twice', async () => {
    let measured = 0
    const measure = (message: unknown) => {
      measured++
      return String(message).length
    }
    const { sendQueue, send, outcomes } = setUp({ maxBytes: 10, measure })
    const lease = sendQueue.lease(() => {})
    for (let round = 0; round < 20; round++) {
      const leaves = new AbortController()
      for (const part of ['written', 'refused']) send(`${part[0]}${round}`)
      send(`l${round}`, undefined, leaves.signal)
      leaves.abort('left')
      const entries = writeAll(lease)
      expect(messages(entries)).toEqual([`w${round}`, `r${round}`])
      lease.done(entries[0] as QueuedMessage)
      lease.failed(entries[1] as QueuedMessage, 'no')
      await settle()
    }
    expect(Object.values(outcomes).filter((outcome) => outcome === 'overflow')).toEqual([])
    expect(measured).toBeLessThanOrEqual(60)
  })

  it('lets a message that cannot be measured fail alone, when its turn has come', async () => {
    const { sendQueue } = setUp({ measure: (message) => JSON.stringify(message).length })
    const sent = [1n, 'a', { deep: 2n }, 'b'].map((message) => sendQueue.send(message))
    const lease = sendQueue.lease(() => {})
    for (let entry = lease.next(); entry; entry = lease.next()) {
      try {
        JSON.stringify(entry.message)
        lease.done(entry)
      } catch (error) {
        lease.failed(entry, (error as Error).name)
      }
    }
    expect(await Promise.allSettled(sent)).toMatchObject([
      { status: 'rejected', reason: 'TypeError' },
      { status: 'fulfilled' },
      { status: 'rejected', reason: 'TypeError' },
      { status: 'fulfilled' },
    ])
    await sendQueue.flushed()
  })

  it('keeps the order of its sends, however long the validation of each one takes', async () => {
    const { sendQueue } = setUp()
    const checks: (() => void)[] = []
    const check = (message: unknown) =>
      Number(message) % 3 === 0
        ? new Promise((resolve) => checks.push(() => resolve(`checked ${message}`)))
        : `at once ${message}`
    const written: unknown[] = []
    const lease = sendQueue.lease(() => {
      for (const entry of writeAll(lease)) {
        written.push(entry.message)
        lease.done(entry)
      }
    })
    const sent = [0, 1, 2, 3, 4, 5].map((n) => sendQueue.send(n, undefined, undefined, check))
    sendQueue.end()
    expect([written, sendQueue.isEnded]).toEqual([[], false])
    checks[1]?.()
    await settle()
    expect(written).toEqual([])
    checks[0]?.()
    await Promise.all(sent)
    expect(written).toEqual(['checked 0', 'at once 1', 'at once 2', 'checked 3', 'at once 4', 'at once 5'])
    expect(sendQueue.isEnded).toBe(true)
  })

  it('goes on behind a message that fails its validation, at once or later', async () => {
    const { sendQueue } = setUp()
    const written: unknown[] = []
    const lease = sendQueue.lease(() => {
      for (const entry of writeAll(lease)) {
        written.push(entry.message)
        lease.done(entry)
      }
    })
    const check = (message: unknown) => {
      if (message === 'thrown') throw 'thrown'
      return message === 'rejected' ? Promise.reject('rejected') : message
    }
    const sent = ['rejected', 'a', 'thrown', 'b'].map((text) => sendQueue.send(text, undefined, undefined, check))
    const outcomes = await Promise.allSettled(sent)
    expect(outcomes.map((each) => ('reason' in each ? each.reason : 'sent'))).toEqual([
      'rejected',
      'sent',
      'thrown',
      'sent',
    ])
    expect(written).toEqual(['a', 'b'])
  })

  it('closed, lets go of what is still being validated', async () => {
    const { sendQueue } = setUp()
    const sent = sendQueue.send('a', undefined, undefined, () => new Promise(() => {}))
    sendQueue.close('over')
    await expect(sent).rejects.toBe('unsent')
  })

  it('measures no message that is alone', () => {
    const measured: unknown[] = []
    const { sendQueue, send } = setUp({ measure: (message) => measured.push(message) })
    const lease = sendQueue.lease(() => {
      for (const entry of writeAll(lease)) lease.done(entry)
    })
    for (let n = 0; n < 100; n++) send(`message ${n}`)
    expect(measured).toEqual([])
  })

  it('blocks senders in their order: one that comes when there is room stands behind those that wait', async () => {
    const { sendQueue, send, outcomes } = setUp({ maxMessages: 1, overflow: 'block' })
    send('a')
    send('b')
    send('c')
    const lease = sendQueue.lease(() => {})
    const [a] = writeAll(lease) as [QueuedMessage]
    lease.done(a)
    send('d')
    const order: unknown[] = []
    for (let entry = lease.next(); entry; entry = lease.next()) {
      order.push(entry.message)
      lease.done(entry)
    }
    expect(order).toEqual(['b', 'c', 'd'])
    await settle()
    expect(outcomes).toEqual({ a: 'done', b: 'done', c: 'done', d: 'done' })
  })

  it('after end() still sends what was queued or blocked, and nothing more', async () => {
    const { sendQueue, send, outcomes } = setUp({ maxMessages: 1, overflow: 'block' })
    send('a')
    send('b')
    sendQueue.end()
    expect(sendQueue.isEnded).toBe(false)
    send('c')
    const lease = sendQueue.lease(() => {})
    lease.done(writeAll(lease)[0] as QueuedMessage)
    lease.done(writeAll(lease)[0] as QueuedMessage)
    expect(sendQueue.isEnded).toBe(true)
    await settle()
    expect(outcomes).toEqual({ a: 'done', b: 'done', c: 'unsent' })
  })

  it('closed, says of each message whether it may have been seen', async () => {
    const { sendQueue, send, outcomes } = setUp({ maxMessages: 4, overflow: 'block' })
    const lease = sendQueue.lease(() => {})
    send('keyed', 'key')
    send('plain')
    writeAll(lease)
    send('taken')
    lease.next()
    send('queued')
    send('blocked')
    sendQueue.close('over')
    send('late')
    await settle()
    expect(outcomes).toEqual({
      keyed: 'unknown outcome',
      plain: 'unknown outcome',
      taken: 'unsent',
      queued: 'unsent',
      blocked: 'unsent',
      late: 'unsent',
    })
  })

  it('is flushed when nothing is queued, blocked or in flight', async () => {
    const { sendQueue, send } = setUp()
    await sendQueue.flushed()
    send('a')
    let isFlushed = false
    const flushed = sendQueue.flushed().then(() => (isFlushed = true))
    const lease = sendQueue.lease(() => {})
    const [entry] = writeAll(lease) as [QueuedMessage]
    await settle()
    expect(isFlushed).toBe(false)
    lease.done(entry)
    await flushed
  })

  it('takes back what was not written when its signal aborts, and leaves no listener', async () => {
    const { sendQueue, send, outcomes } = setUp()
    const controller = new AbortController()
    send('a', undefined, controller.signal)
    send('b')
    controller.abort('changed my mind')
    expect(messages(writeAll(sendQueue.lease(() => {})))).toEqual(['b'])
    send('c', undefined, controller.signal)
    await settle()
    expect(outcomes).toEqual({ a: 'changed my mind', c: 'changed my mind' })
  })

  it('makes room when a signal aborts', async () => {
    const { sendQueue, send } = setUp({ maxMessages: 1, overflow: 'block' })
    const controller = new AbortController()
    send('a', undefined, controller.signal)
    send('b')
    controller.abort()
    expect(messages(writeAll(sendQueue.lease(() => {})))).toEqual(['b'])
  })

  it('says nothing late: what could not be written within maxAgeMs is rejected', async () => {
    const { sendQueue, send, outcomes, clock, deadlines } = setUp({ maxAgeMs: 30_000 })
    send('a')
    const first = sendQueue.lease(() => {})
    send('keyed', 'key')
    writeAll(first)
    first.release('dropped')
    await clock.advance(20_000)
    send('b')
    await clock.advance(10_000)
    expect(outcomes).toEqual({ a: 'unknown outcome', keyed: 'unknown outcome' })
    await clock.advance(20_000)
    expect(outcomes).toEqual({ a: 'unknown outcome', keyed: 'unknown outcome', b: 'expired' })
    expect(deadlines.size).toBe(0)
  })

  it('says nothing late where the process was stopped: sockets are heard of before timers', () => {
    const { sendQueue, send, clock } = setUp({ maxAgeMs: 30_000 })
    send('old')
    const { now } = clock
    Object.assign(clock, { now: () => now.call(clock) + 29_999 })
    send('young')
    Object.assign(clock, { now: () => now.call(clock) + 30_000 })
    expect(messages(writeAll(sendQueue.lease(() => {})))).toEqual(['young'])
  })

  it('arms no deadline for messages that are taken at once', () => {
    const { sendQueue, send, deadlines } = setUp({ maxAgeMs: 30_000 })
    const lease = sendQueue.lease(() => {
      for (const entry of writeAll(lease)) lease.done(entry)
    })
    for (let n = 0; n < 100; n++) send(`message ${n}`)
    expect(deadlines.size).toBe(0)
  })
})

/** One message as the model sees it. */
interface Sent {
  readonly name: string
  readonly key: string | undefined
  timesWritten: number
  outcome: unknown
}

/** A send queue under random use, beside a record of what happened to each message. */
class Run {
  readonly random: () => number
  readonly sent: Sent[] = []
  readonly #sendQueue: SendQueue
  readonly #bound: number
  #lease: SendLease | undefined
  #inFlight: QueuedMessage[] = []
  /** Names in the order in which the present lease has taken them. */
  #taken: number[] = []
  mostWaiting = 0

  constructor(seed: number) {
    this.random = seeded(seed)
    this.#bound = 1 + this.pick(8)
    const overflow = this.random() < 0.5 ? 'reject' : 'block'
    this.#sendQueue = new SendQueue(errors, { maxMessages: this.#bound, overflow, measure: () => 1 })
  }

  get bound(): number {
    return this.#bound
  }

  pick(below: number): number {
    return Math.floor(this.random() * below)
  }

  step(): void {
    const roll = this.random()
    if (roll < 0.4) this.#send()
    else if (roll < 0.6) this.#take()
    else if (roll < 0.8) this.#settleOne()
    else if (roll < 0.9) this.#drop()
    else this.#connect()
  }

  async finish(): Promise<void> {
    this.#sendQueue.close('over')
    await settle()
  }

  #send(): void {
    const index = this.sent.length
    const key = this.random() < 0.5 ? `key ${index}` : undefined
    const each: Sent = { name: `m${index}`, key, timesWritten: 0, outcome: undefined }
    this.sent.push(each)
    const settleWith = (outcome: unknown) => {
      expect(each.outcome).toBeUndefined()
      each.outcome = outcome
    }
    this.#sendQueue.send(index, key).then(() => settleWith('done'), settleWith)
    this.mostWaiting = Math.max(this.mostWaiting, this.#sendQueue.size + this.#inFlight.length)
  }

  #connect(): void {
    if (this.#lease) return
    this.#taken = []
    this.#lease = this.#sendQueue.lease(() => {})
  }

  #take(): void {
    const entry = this.#lease?.next()
    if (!entry) return
    const index = entry.message as number
    expect(index, 'in order within one lease').toBeGreaterThan(this.#taken.at(-1) ?? -1)
    this.#taken.push(index)
    this.#inFlight.push(entry)
    if (this.random() < 0.2) return
    const each = this.sent[index] as Sent
    if (each.key === undefined) expect(each.timesWritten, 'a plain message is written once').toBe(0)
    each.timesWritten++
    this.#lease?.written(entry)
  }

  #settleOne(): void {
    const [entry] = this.#inFlight.splice(this.pick(this.#inFlight.length), 1)
    if (!entry) return
    if (this.random() < 0.8) this.#lease?.done(entry)
    else this.#lease?.failed(entry, 'refused')
  }

  #drop(): void {
    this.#lease?.release('dropped')
    this.#lease = undefined
    this.#inFlight = []
  }
}

describe('a send queue under random use', () => {
  it('settles each message once, writes plain ones once, keeps order and bounds', async () => {
    const seed = freshSeed()
    for (let round = 0; round < 200; round++) {
      const run = new Run(seed + round)
      for (let step = 0; step < 200; step++) {
        run.step()
        if (step % 20 === 0) await Promise.resolve()
      }
      await run.finish()
      const label = `seed ${seed + round}`
      expect(run.mostWaiting, label).toBeLessThanOrEqual(run.bound)
      for (const { name, outcome, timesWritten } of run.sent) {
        expect(outcome, `${label}, ${name}`).toBeDefined()
        if (outcome === 'unsent' || outcome === 'overflow') expect(timesWritten, `${label}, ${name}`).toBe(0)
        if (outcome === 'unknown outcome') expect(timesWritten, `${label}, ${name}`).toBeGreaterThan(0)
      }
    }
  })
})
