import { createHmac, generateKeyPairSync, sign as signBy } from 'node:crypto'
import { sign as signGithub } from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { isCallError, memoryStore, type } from 'polywire'
import {
  githubWebhooks,
  hmacWebhooks,
  standardWebhooks,
  stripeWebhooks,
  type WebhookScheme,
  webhook,
  webhookReceiver,
} from 'polywire/webhooks'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { Webhook as Svix } from 'svix'
import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { virtualClock } from '../../src/core/time/virtual-clock.ts'
import { freshSeed, seeded } from '../support/seeded.ts'

const clock = virtualClock()
const seconds = Math.floor(clock.wallNow() / 1000)
const bytes = (text: string) => new TextEncoder().encode(text)
const secretOf = (text: string) => `whsec_${Buffer.from(text.repeat(3)).toString('base64')}`
const secret = secretOf('a secret of ours')

async function deliver(scheme: WebhookScheme, headers: Record<string, string>, body: string | Uint8Array) {
  const events: unknown[] = []
  const receiver = webhookReceiver({
    scheme,
    store: memoryStore(),
    events: { shipped: webhook('order.shipped', type<unknown>()), opened: webhook('issues.opened', type<unknown>()) },
    handle: (event) => events.push(event),
    clock,
  })
  const request = {
    headers: HeaderMap.from(Object.entries(headers)),
    body: typeof body === 'string' ? bytes(body) : body,
  }
  const answer = await receiver.receive(request)
  await receiver.idle()
  return { status: answer.status, reason: JSON.parse(answer.body).error?.code as string | undefined, events }
}

interface Sender {
  readonly scheme: (secrets: string | readonly string[]) => WebhookScheme
  readonly headers: (
    secret: string,
    body: string,
    at?: number,
  ) => Record<string, string> | Promise<Record<string, string>>
  readonly secrets: readonly [string, string]
  readonly body: string
  readonly isTimed: boolean
}

const shipped = JSON.stringify({ id: 'evt_1', type: 'order.shipped', data: { object: { n: 1 } } })
const stripe = new Stripe('sk_test_1')
const senders: Record<string, Sender> = {
  standardwebhooks: {
    scheme: (secrets) => standardWebhooks({ secrets }),
    headers: (key, body, at = seconds) => ({
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(at),
      'webhook-signature': new StandardWebhook(key).sign('evt_1', new Date(at * 1000), body),
    }),
    secrets: [secret, secretOf('another of ours.')],
    body: shipped,
    isTimed: true,
  },
  svix: {
    scheme: (secrets) => standardWebhooks({ secrets }),
    headers: (key, body, at = seconds) => ({
      'svix-id': 'evt_1',
      'svix-timestamp': String(at),
      'svix-signature': new Svix(key).sign('evt_1', new Date(at * 1000), body),
    }),
    secrets: [secret, secretOf('another of ours.')],
    body: shipped,
    isTimed: true,
  },
  stripe: {
    scheme: (secrets) => stripeWebhooks({ secrets }),
    headers: (key, body, at = seconds) => ({
      'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: body, secret: key, timestamp: at }),
    }),
    secrets: ['whsec_one', 'whsec_two'],
    body: shipped,
    isTimed: true,
  },
  '@octokit/webhooks-methods': {
    scheme: (secrets) => githubWebhooks({ secrets }),
    headers: async (key, body) => ({
      'x-github-event': 'issues',
      'x-github-delivery': 'evt_1',
      'x-hub-signature-256': await signGithub(key, body),
    }),
    secrets: ['one', 'two'],
    body: JSON.stringify({ action: 'opened', issue: { number: 7 } }),
    isTimed: false,
  },
  "a sender's own HMAC": {
    scheme: (secrets) =>
      hmacWebhooks({ secrets, header: 'x-signature', prefix: 'v0=', timestampHeader: 'x-time', encoding: 'base64' }),
    headers: (key, body, at = seconds) => ({
      'x-time': String(at),
      'x-signature': `v0=${createHmac('sha256', key).update(`${at}.${body}`).digest('base64')}`,
    }),
    secrets: ['one', 'two'],
    body: shipped,
    isTimed: true,
  },
}

it.each([
  ['standardwebhooks', (toleranceMs: number) => standardWebhooks({ secrets: secret, toleranceMs })],
  ['stripe', (toleranceMs: number) => stripeWebhooks({ secrets: 'whsec_one', toleranceMs })],
  [
    "a sender's own HMAC",
    (toleranceMs: number) =>
      hmacWebhooks({
        secrets: 'one',
        header: 'x-signature',
        prefix: 'v0=',
        timestampHeader: 'x-time',
        encoding: 'base64',
        toleranceMs,
      }),
  ],
] as const)('%s: toleranceMs says how old or early a delivery may be', async (name, scheme) => {
  const { headers, secrets, body } = senders[name] as Sender
  const reasonAt = async (atSeconds: number, toleranceMs: number) =>
    (await deliver(scheme(toleranceMs), await headers(secrets[0], body, seconds + atSeconds), body)).reason
  for (const [atSeconds, reason] of [
    [-60, 'timestamp_too_old'],
    [60, 'timestamp_in_future'],
  ] as const) {
    expect(await reasonAt(atSeconds, 30_000)).toBe(reason)
    expect(await reasonAt(atSeconds, 90_000)).toBeUndefined()
    expect(await reasonAt(atSeconds * 10, 900_000)).toBeUndefined()
  }
})

describe.each(Object.entries(senders))('signed by %s', (_, { scheme, headers, secrets, body, isTimed }) => {
  const [one, two] = secrets

  it('is believed, read and handled', async () => {
    const { status, events } = await deliver(scheme(one), await headers(one, body), body)
    expect(status).toBe(200)
    expect(events).toMatchObject([{ id: 'evt_1', attempt: 1 }])
  })

  it('is believed under the old secret and the new one while they are rotated', async () => {
    for (const each of secrets) {
      const { status } = await deliver(scheme(secrets), await headers(each, body), body)
      expect(status).toBe(200)
    }
    expect(await deliver(scheme(two), await headers(one, body), body)).toMatchObject({
      status: 401,
      reason: 'signature_mismatch',
      events: [],
    })
  })

  it('is refused when a byte of it is another', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const signed = await headers(one, body)
    for (let round = 0; round < 20; round++) {
      const changed = bytes(body)
      const at = Math.floor(random() * changed.length)
      changed[at] = (changed[at] as number) ^ (1 << Math.floor(random() * 8))
      expect((await deliver(scheme(one), signed, changed)).status, `seed ${seed}`).toBe(401)
    }
  })

  it('a signature header of any text is refused, and nothing fails', async () => {
    const signed = await headers(one, body)
    const name = Object.keys(signed).find((each) => /signature/.test(each)) as string
    const part = fc.constantFrom('v1', 'v1a', 't', 'sha256', 'v0', '=', ',', ' ', '1', 'ff', 'bm8=', '\u00e9')
    const text = fc.oneof(
      fc.string(),
      fc.array(part).map((parts) => parts.join('')),
    )
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const { status, events } = await deliver(scheme(one), { ...signed, [name]: value }, body)
        expect([400, 401]).toContain(status)
        expect(events).toEqual([])
      }),
    )
  })

  it('a body with the byte 0xFF does not verify for one with 0xFE, which are one character to who reads texts', async () => {
    // What the senders' packages would sign as a text: the character that both bytes become.
    const [before, behind] = [bytes('{"type":"order.shipped","id":"evt_1","data":"'), bytes('"}')]
    const bodyWith = (byte: number) => Uint8Array.from([...before, byte, ...behind])
    const signed = await headers(one, new TextDecoder().decode(bodyWith(0xff)))
    for (const byte of [0xff, 0xfe]) {
      const answer = await deliver(scheme(one), signed, bodyWith(byte))
      expect(answer).toMatchObject({ status: 401, reason: 'signature_mismatch', events: [] })
    }
  })

  it('delivered again is handled once, as long as it is remembered; beyond its time it is refused, if it has one', async () => {
    const later = virtualClock()
    const runs: string[] = []
    const receiver = webhookReceiver({
      scheme: scheme(one),
      store: memoryStore({ clock: later }),
      events: { shipped: webhook('order.shipped', type<unknown>()), opened: webhook('issues.opened', type<unknown>()) },
      handle: ({ id }) => runs.push(id),
      clock: later,
    })
    const first = await headers(one, body)
    const again = async (signed: Record<string, string>) => {
      const answer = await receiver.receive({ headers: HeaderMap.from(Object.entries(signed)), body: bytes(body) })
      await receiver.idle()
      return [answer.status, JSON.parse(answer.body).status ?? JSON.parse(answer.body).error.code]
    }
    const day = 24 * 3_600_000
    expect(await again(first)).toEqual([200, 'received'])
    await later.advance(100_000)
    expect(await again(first)).toEqual([200, 'duplicate'])
    await later.advance(7 * day - 200_000)
    expect(await again(first)).toEqual(isTimed ? [401, 'timestamp_too_old'] : [200, 'duplicate'])
    // As senders do: the same id, signed anew.
    const anew = () => headers(one, body, Math.floor(later.wallNow() / 1000))
    expect(await again(await anew())).toEqual([200, 'duplicate'])
    expect(runs).toEqual(['evt_1'])
    await later.advance(200_000)
    expect(await again(await anew())).toEqual([200, 'received'])
  })

  it('is refused without any one of its headers, and where one is no header of the kind', async () => {
    const signed = await headers(one, body)
    for (const name of Object.keys(signed)) {
      const { [name]: _gone, ...rest } = signed
      expect(await deliver(scheme(one), rest, body)).toMatchObject({ status: 400, reason: 'missing_header' })
      const { status } = await deliver(scheme(one), { ...signed, [name]: '🙈, = ,v1' }, body)
      // The id and the type may be any text where the signature does not cover them.
      expect([400, 401, 200]).toContain(status)
      if (/signature/.test(name)) expect(status).not.toBe(200)
    }
  })

  it.runIf(isTimed)('is refused when it is old, and when it claims to be of the future', async () => {
    expect(await deliver(scheme(one), await headers(one, body, seconds - 299), body)).toMatchObject({ status: 200 })
    expect(await deliver(scheme(one), await headers(one, body, seconds + 299), body)).toMatchObject({ status: 200 })
    expect(await deliver(scheme(one), await headers(one, body, seconds - 302), body)).toMatchObject({
      status: 401,
      reason: 'timestamp_too_old',
      events: [],
    })
    expect(await deliver(scheme(one), await headers(one, body, seconds + 302), body)).toMatchObject({
      status: 401,
      reason: 'timestamp_in_future',
      events: [],
    })
  })
})

describe('Standard Webhooks', () => {
  const sender = senders.standardwebhooks as Sender

  it('a body with the byte 0xFF does not verify for one with 0xFE', async () => {
    const body = Buffer.concat([bytes('{"type":"order.shipped","data":"'), Uint8Array.of(0xff), bytes('"}')])
    const signature = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
      .update(Buffer.concat([bytes(`evt_1.${seconds}.`), body]))
      .digest('base64')
    const signed = { ...((await sender.headers(secret, 'x')) as object), 'webhook-signature': `v1,${signature}` }
    const other = Buffer.from(body)
    other[other.indexOf(0xff)] = 0xfe
    expect(await deliver(standardWebhooks({ secrets: secret }), signed, other)).toMatchObject({
      status: 401,
      reason: 'signature_mismatch',
    })
    // The bytes are those that were signed; that they are no UTF-8 is another matter.
    expect(await deliver(standardWebhooks({ secrets: secret }), signed, body)).toMatchObject({
      status: 400,
      reason: 'malformed_payload',
    })
  })

  it('v1a is verified by the public key, beside v1 by a secret', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    const signature = signBy(null, Buffer.from(`evt_1.${seconds}.${shipped}`), privateKey).toString('base64')
    const headers = {
      ...((await sender.headers(secret, shipped)) as Record<string, string>),
      'webhook-signature': `v1,bm8= v1a,${signature}`,
    }
    const whpk = `whpk_${raw.toString('base64')}`
    expect(await deliver(standardWebhooks({ secrets: whpk }), headers, shipped)).toMatchObject({ status: 200 })
    expect(await deliver(standardWebhooks({ secrets: [secret, whpk] }), headers, shipped)).toMatchObject({
      status: 200,
    })
    expect(await deliver(standardWebhooks({ secrets: secret }), headers, shipped)).toMatchObject({ status: 401 })
    // A signature of one version is none of the other.
    const swapped = { ...headers, 'webhook-signature': `v1,${signature}` }
    expect(await deliver(standardWebhooks({ secrets: whpk }), swapped, shipped)).toMatchObject({ status: 401 })
  })

  it('of several signatures in the header any may be the right one, but no endless list is tried', async () => {
    const signed = (await sender.headers(secret, shipped)) as Record<string, string>
    const right = signed['webhook-signature'] as string
    const wrong = `v1,${Buffer.alloc(32).toString('base64')}`
    const several = { ...signed, 'webhook-signature': `${wrong} v2,x ${right}` }
    expect((await deliver(standardWebhooks({ secrets: secret }), several, shipped)).status).toBe(200)
    const endless = { ...signed, 'webhook-signature': `${`${wrong} `.repeat(50)}${right}` }
    expect((await deliver(standardWebhooks({ secrets: secret }), endless, shipped)).status).toBe(401)
  })

  it.each(['12e3', '-5', '1.5', 'now', '9'.repeat(20)])('%s is no timestamp', async (text) => {
    const signed = { ...((await sender.headers(secret, shipped)) as object), 'webhook-timestamp': text }
    expect(await deliver(standardWebhooks({ secrets: secret }), signed, shipped)).toMatchObject({
      status: 400,
      reason: 'malformed_header',
    })
  })
})

describe('Stripe', () => {
  it('of several signatures in the header any may be the right one, of its own version only', async () => {
    const { headers } = senders.stripe as Sender
    const signed = ((await headers('whsec_one', shipped)) as Record<string, string>)['stripe-signature'] as string
    const status = async (value: string) =>
      (await deliver(stripeWebhooks({ secrets: 'whsec_one' }), { 'stripe-signature': value }, shipped)).status
    const wrong = 'a'.repeat(64)
    expect(await status(signed.replace('v1=', `v1=${wrong},v1=`))).toBe(200)
    expect(await status(`${signed},v1=${wrong},v0=${wrong}`)).toBe(200)
    expect(await status(signed.replace('v1=', 'v0='))).toBe(401)
    expect(await status(signed.replace(/t=\d+/, `t=${seconds + 1}`))).toBe(401)
  })
})

describe('secrets', () => {
  it('may come from a function, which is asked at each delivery and whose failure is no 401', async () => {
    const sender = senders.standardwebhooks as Sender
    let now: string | readonly string[] = secret
    const scheme = standardWebhooks({ secrets: async () => now })
    const signed = await sender.headers(secret, shipped)
    expect((await deliver(scheme, signed, shipped)).status).toBe(200)
    now = [secretOf('another of ours.')]
    expect((await deliver(scheme, signed, shipped)).status).toBe(401)
    const broken = standardWebhooks({ secrets: () => Promise.reject(new Error('vault')) })
    expect((await deliver(broken, signed, shipped)).status).toBe(503)
  })

  it.each([undefined, '', [], [''], [42], {}])('%j is none', (secrets) => {
    expect(() => standardWebhooks({ secrets: secrets as never })).toThrow(/secret/)
  })

  it('that is no base64 is refused by name, not shown', async () => {
    const scheme = standardWebhooks({ secrets: 'whsec_canary!' })
    const delivery = {
      headers: HeaderMap.from(Object.entries(await (senders.standardwebhooks as Sender).headers(secret, shipped))),
      body: bytes(shipped),
      wallNow: clock.wallNow(),
    }
    const error = await scheme.verify(delivery).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error.code).toBe('invalid_argument')
    expect(String(error)).not.toContain('canary')
  })
})

describe('what senders document', () => {
  it('Slack: v0:timestamp:body', async () => {
    const body = JSON.stringify({ event_id: 'Ev1', event: { type: 'order.shipped', n: 1 } })
    const scheme = hmacWebhooks({
      secrets: 'slack',
      header: 'x-slack-signature',
      prefix: 'v0=',
      timestampHeader: 'x-slack-request-timestamp',
      signed: ({ body, timestamp }) => [`v0:${timestamp}:`, body],
      read: ({ event_id, event }) => ({ id: event_id, type: event.type, data: event }),
    })
    const signature = createHmac('sha256', 'slack').update(`v0:${seconds}:${body}`).digest('hex')
    const headers = { 'x-slack-request-timestamp': String(seconds), 'x-slack-signature': `v0=${signature}` }
    expect((await deliver(scheme, headers, body)).events).toMatchObject([{ id: 'Ev1', data: { n: 1 } }])
  })

  it('Shopify: base64 over the body, id and type in headers', async () => {
    const body = JSON.stringify({ order: 1 })
    const scheme = hmacWebhooks({
      secrets: 'shop',
      header: 'x-shopify-hmac-sha256',
      encoding: 'base64',
      idHeader: 'x-shopify-event-id',
      typeHeader: 'x-shopify-topic',
      read: (order) => ({ data: order }),
    })
    const headers = {
      'x-shopify-hmac-sha256': createHmac('sha256', 'shop').update(body).digest('base64'),
      'x-shopify-event-id': 'e1',
      'x-shopify-topic': 'order.shipped',
    }
    expect((await deliver(scheme, headers, body)).events).toMatchObject([{ id: 'e1', data: { order: 1 } }])
  })

  it("what a sender's own functions throw is one clear refusal", async () => {
    const body = shipped
    const sign = () => ({ 'x-sig': createHmac('sha256', 'k').update(body).digest('hex') })
    const read = () => {
      throw new Error('no')
    }
    expect((await deliver(hmacWebhooks({ secrets: 'k', header: 'x-sig', read }), sign(), body)).status).toBe(503)
    const signed = () => {
      throw new Error('no')
    }
    expect((await deliver(hmacWebhooks({ secrets: 'k', header: 'x-sig', signed }), sign(), body)).status).toBe(503)
  })
})
