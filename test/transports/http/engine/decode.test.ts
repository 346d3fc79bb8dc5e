import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import type { HttpControl } from '../../../../transports/http/contract.ts'
import { decoded } from '../../../../transports/http/engine/undici/decode.ts'
import { newScope, RecordingSink } from '../../../support/recording-sink.ts'

/** A wire that notes what it is told. */
class Wire implements HttpControl {
  readonly told: string[] = []
  pause(): void {
    this.told.push('pause')
  }
  resume(): void {
    this.told.push('resume')
  }
  cancel(): void {
    this.told.push('cancel')
  }
}

function open(coding: string | undefined, { status = 200, method = 'GET' } = {}) {
  const sink = new RecordingSink()
  const wire = new Wire()
  const scope = newScope()
  const headers = coding === undefined ? {} : { 'content-encoding': coding }
  const behind = decoded(sink, headers, status, method, scope)
  behind.onHead({ status, headers: new HeaderMap(headers), url: 'http://a.example/' }, wire)
  return { sink, wire, scope, behind, end: () => behind.onEnd(new HeaderMap({})) }
}

describe('a compressed body', () => {
  it('is given as it was before, whatever it was compressed by, several times over too', async () => {
    const { sink, behind, end } = open(' GZIP , br')
    behind.onData(brotliCompressSync(gzipSync('hello')))
    end()
    await sink.over()
    expect(sink.text).toBe('hello')
    expect(sink.events.at(-1)).toBe('end')
  })

  it.each([
    ['no coding', undefined],
    ['identity', 'identity'],
    ['nothing at all', ''],
    ['one that nobody knows', 'zip'],
    ['more than anybody needs', Array.from({ length: 20 }, () => 'gzip').join()],
  ])('%s leaves the bytes as they are', (_, coding) => {
    const { sink, behind } = open(coding)
    expect(behind).toBe(sink)
  })

  it.each([[{ method: 'HEAD' }], [{ status: 204 }], [{ status: 304 }]])(
    '%o has no body to be decompressed',
    (answer) => {
      const { sink, behind } = open('gzip', answer)
      expect(behind).toBe(sink)
    },
  )

  it('that is empty is whole', () => {
    const { sink, end } = open('gzip')
    end()
    expect(sink.events).toEqual(['head', 'end'])
  })

  it('that is broken is one fault, and lets go of the wire', async () => {
    const { sink, wire, behind } = open('gzip')
    behind.onData(new TextEncoder().encode('no gzip at all'))
    await sink.over()
    expect(sink.fault).toMatchObject({ phase: 'body', sent: 'yes', what: 'the body could not be decompressed' })
    expect(wire.told).toEqual(['cancel'])
    behind.onError({ phase: 'body', sent: 'yes', what: 'late', cause: undefined })
    behind.onAbort?.('late')
    expect(sink.events).toEqual(['head', 'error'])
  })

  it('that is cancelled lets go of the wire once, and says nothing more', () => {
    const { sink, wire, behind } = open('gzip')
    behind.onData(gzipSync('hello').subarray(0, 12))
    sink.control?.cancel()
    sink.control?.cancel()
    behind.onError({ phase: 'body', sent: 'yes', what: 'late', cause: undefined })
    expect(wire.told).toEqual(['cancel'])
    expect(sink.events).toEqual(['head'])
  })

  it('that is aborted after its last byte tells the abort', () => {
    const { sink, scope, behind, end } = open('gzip')
    behind.onData(gzipSync('hello'))
    end()
    scope.abort('enough')
    expect(sink.events).toEqual(['head', 'abort'])
    expect(sink.reason).toBe('enough')
  })

  it('waits while its reader does, from the first byte on', async () => {
    const { sink, behind, end } = open('gzip')
    sink.control?.pause()
    behind.onData(gzipSync('hello'))
    end()
    await new Promise((resolve) => setImmediate(resolve))
    expect(sink.events).toEqual(['head'])
    sink.control?.resume()
    await sink.over()
    expect(sink.text).toBe('hello')
  })

  describe('of several zstd frames', () => {
    const text = Array.from({ length: 20_000 }, (_, n) => n.toString(36)).join()
    const frames = (count: number) =>
      Buffer.concat(
        Array.from({ length: count }, (_, n) =>
          zstdCompressSync(text.slice((n * text.length) / count, ((n + 1) * text.length) / count)),
        ),
      )
    const skippable = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3)
    const feed = (body: Uint8Array, size: number) => {
      const opened = open('zstd')
      for (let at = 0; at < body.byteLength; at += size) opened.behind.onData(body.subarray(at, at + size))
      opened.end()
      return opened.sink
    }

    it.each([1, 2, 7])('is given whole, of %i', async (count) => {
      for (const size of [Number.POSITIVE_INFINITY, 1000, 17]) {
        const sink = feed(Buffer.concat([frames(count), skippable]), size)
        await sink.over()
        expect(sink.text).toBe(text)
      }
    })

    it('waits while its reader does', async () => {
      const { sink, behind, end } = open('zstd')
      sink.control?.pause()
      behind.onData(frames(7))
      end()
      await new Promise((resolve) => setImmediate(resolve))
      expect(sink.events).toEqual(['head'])
      sink.control?.resume()
      await sink.over()
      expect(sink.text).toBe(text)
    })

    it.each([
      ['is cut in a later one', frames(3).subarray(0, -3)],
      ['ends with what is none', Buffer.concat([frames(2), Buffer.from('junk')])],
    ])('is broken where it %s', async (_, body) => {
      for (const size of [Number.POSITIVE_INFINITY, 17]) {
        const sink = feed(body, size)
        await sink.over()
        expect(sink.fault).toMatchObject({ what: 'the body could not be decompressed' })
      }
    })
  })
})
