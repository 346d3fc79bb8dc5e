import { describe, expect, it } from 'vitest'
import { fingerprint, fingerprintOf } from '../../../src/core/resume/fingerprint.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

describe('the fingerprint of a text', () => {
  it('is the same for equal texts, and small', () => {
    for (const text of ['', 'a', '{"n":1}', 'é'.repeat(100_000)]) {
      expect(fingerprint(text)).toBe(fingerprint(`${text} `.slice(0, -1)))
      expect(fingerprint(text)).toBeGreaterThanOrEqual(0)
      expect(fingerprint(text)).toBeLessThan(2 ** 30)
    }
  })

  it('differs by each character of a short one, and by length', () => {
    const seed = freshSeed()
    const random = seeded(seed)
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: 1 + Math.floor(random() * 64) }, () => 'abcdef'[Math.floor(random() * 6)]).join(
        '',
      )
      const at = Math.floor(random() * text.length)
      const other = `${text.slice(0, at)}x${text.slice(at + 1)}`
      expect(fingerprint(other), `seed ${seed}: ${text}, ${other}`).not.toBe(fingerprint(text))
    }
    expect(fingerprint('aaaa')).not.toBe(fingerprint('aaa'))
  })

  it('looks at other places of a long one with another seed: nothing that differs stays unseen', () => {
    const text = 'a'.repeat(300)
    for (let at = 0; at < text.length; at++) {
      const other = `${text.slice(0, at)}b${text.slice(at + 1)}`
      const seen = Array.from(
        { length: 40 },
        (_, seed) => fingerprint(other, `${seed}`) !== fingerprint(text, `${seed}`),
      )
      expect(seen, `at ${at}`).toContain(true)
    }
  })
})

describe('the fingerprint of a message', () => {
  it.each([
    [
      { n: 1, run: 'a' },
      { n: 1, run: 'b' },
    ],
    [{ n: 1.25 }, { n: 1.5 }],
    [{ deep: { list: [1, 2, { x: true }] } }, { deep: { list: [1, 2, { x: false }] } }],
    [{ id: 1n }, { id: 2n }],
    [{ bytes: Uint8Array.of(1, 2) }, { bytes: Uint8Array.of(1, 3) }],
    [{ at: new Date(1) }, { at: new Date(2) }],
    ['text', 'test'],
    [{ text: 'one run, one message' }, { text: 'one man, one message' }],
    [{ n: 0.1 + 0.2 }, { n: 0.3001 }],
    [{ n: 1_700_000_000_001 }, { n: 1_700_000_000_002 }],
    [Array(20).fill({ a: 1 }), Array(20).fill({ a: 2 })],
    [Array(1000).fill(1), [...Array(500).fill(1), ...Array(500).fill(2)]],
    [{ a: null }, { a: 0 }],
    [[], {}],
  ])('tells %o from %o', (one, other) => {
    expect(fingerprintOf(one)).not.toBe(fingerprintOf(other))
    expect(fingerprintOf(structuredClone(one))).toBe(fingerprintOf(one))
  })

  it('is done soon with what has no end', () => {
    const circle: { self?: object } = {}
    circle.self = circle
    expect(fingerprintOf(circle)).toBeTypeOf('number')
    let deep: unknown = []
    for (let depth = 0; depth < 100_000; depth++) deep = depth % 2 ? [deep] : { deep }
    expect(fingerprintOf(deep)).toBeTypeOf('number')
    expect(fingerprintOf(Array.from({ length: 1_000_000 }, (_, n) => n))).toBeTypeOf('number')
  })
})
