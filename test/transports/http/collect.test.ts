import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { openBody } from '../../../transports/http/body.ts'
import { toReadable } from '../../../transports/http/bytes.ts'
import { announcedLength, decodeUtf8, requestBuffered } from '../../../transports/http/collect.ts'
import type { HttpControl, HttpEngine, HttpSink } from '../../../transports/http/contract.ts'
import { newScope } from '../../support/recording-sink.ts'

const request = { method: 'GET', url: 'http://a.example/', headers: {} }
const bytes = (text: string) => new TextEncoder().encode(text)

/** An engine that answers what a test says. */
function scripted(script: (sink: HttpSink, control: HttpControl & { log: string[] }) => void) {
  const log: string[] = []
  const control = {
    log,
    pause: () => void log.push('pause'),
    resume: () => void log.push('resume'),
    cancel: () => void log.push('cancel'),
  }
  const engine: HttpEngine = {
    name: 'scripted',
    send: (_request, sink) => script(sink, control),
    close: async () => {},
  }
  return { engine, log }
}
const head = (headers: Record<string, string> = {}) => ({
  status: 200,
  headers: new HeaderMap(headers),
  url: request.url,
})

describe('requestBuffered', () => {
  it('joins the pieces, and copies nothing where there is one', async () => {
    const one = bytes('one')
    const { engine } = scripted((sink, control) => {
      sink.onHead(head(), control)
      sink.onData(one)
      sink.onEnd(HeaderMap.empty)
    })
    expect((await requestBuffered(engine, request, newScope())).body).toBe(one)
    const { engine: three } = scripted((sink, control) => {
      sink.onHead(head(), control)
      for (const piece of ['a', 'b', 'c']) sink.onData(bytes(piece))
      sink.onEnd(HeaderMap.empty)
    })
    expect((await requestBuffered(three, request, newScope())).text()).toBe('abc')
  })

  it('reports progress, with the total where it is known', async () => {
    const { engine } = scripted((sink, control) => {
      sink.onHead(head({ 'content-length': '3' }), control)
      sink.onData(bytes('ab'))
      sink.onData(bytes('c'))
      sink.onEnd(HeaderMap.empty)
    })
    const seen: unknown[] = []
    await requestBuffered(engine, request, newScope(), { onDownloadProgress: (...each) => void seen.push(each) })
    expect(seen).toEqual([
      [2, 3],
      [3, 3],
    ])
  })

  it('cancels what is announced as too large', async () => {
    const { engine, log } = scripted((sink, control) => sink.onHead(head({ 'content-length': '10' }), control))
    await expect(requestBuffered(engine, request, newScope(), { maxBodyBytes: 9 })).rejects.toThrow('maxBodyBytes (9)')
    expect(log).toEqual(['cancel'])
  })

  it('knows no total of a compressed or chunked body', () => {
    expect(announcedLength(new HeaderMap({ 'content-length': '10', 'content-encoding': 'gzip' }))).toBeUndefined()
    expect(announcedLength(new HeaderMap({}))).toBeUndefined()
    expect(announcedLength(new HeaderMap({ 'content-length': 'ten' }))).toBeUndefined()
  })
})

describe('decodeUtf8', () => {
  it.each([(text: string) => bytes(text), (text: string) => Buffer.from(text)])(
    'drops a byte order mark, replaces what is no UTF-8',
    (make) => {
      expect(decodeUtf8(make('\uFEFF{"a":"ü€😀"}'))).toBe('{"a":"ü€😀"}')
      expect(decodeUtf8(make(''))).toBe('')
    },
  )

  it('replaces what is no UTF-8', () => {
    expect(decodeUtf8(Buffer.from([0x61, 0xff, 0x62]))).toBe('a\uFFFDb')
    expect(decodeUtf8(Uint8Array.of(0x61, 0xff, 0x62))).toBe('a\uFFFDb')
  })
})

describe('openBody', () => {
  it('pauses above the high-water mark and resumes below half of it', async () => {
    const { engine, log } = scripted((sink, control) => {
      sink.onHead(head(), control)
      for (let nth = 0; nth < 6; nth++) sink.onData(new Uint8Array(65_536))
    })
    const { body } = await openBody(engine, request, newScope())
    expect(log).toEqual(['pause'])
    await body.next()
    await body.next()
    await body.next()
    expect(log).toEqual(['pause'])
    await body.next()
    await body.next()
    expect(log).toEqual(['pause', 'resume'])
  })

  it('hands over what came before a failure', async () => {
    const { engine } = scripted((sink, control) => {
      sink.onHead(head(), control)
      sink.onData(bytes('before'))
      sink.onError({ phase: 'body', sent: 'yes', what: 'cut', cause: undefined })
    })
    const { body } = await openBody(engine, request, newScope())
    expect(decodeUtf8((await body.next()).value as Uint8Array)).toBe('before')
    await expect(body.next()).rejects.toThrow('cut')
  })

  it('closes the exchange when the reader leaves', async () => {
    const { engine, log } = scripted((sink, control) => {
      sink.onHead(head(), control)
      sink.onData(bytes('a'))
    })
    const { body } = await openBody(engine, request, newScope())
    for await (const _ of body) break
    expect(log).toEqual(['cancel'])
    const again = await openBody(engine, request, newScope())
    await toReadable(again.body, () => again.body.cancel()).cancel()
    expect(log).toEqual(['cancel', 'cancel'])
  })

  it('rejects when there is no head', async () => {
    const { engine } = scripted((sink) =>
      sink.onError({ phase: 'connect', sent: 'no', what: 'refused', cause: undefined }),
    )
    await expect(openBody(engine, request, newScope())).rejects.toMatchObject({ fault: { what: 'refused' } })
  })
})
