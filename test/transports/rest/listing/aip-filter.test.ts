import fc from 'fast-check'
import { isCallError } from 'polywire'
import { allOf, anyOf, bare, not, where } from 'polywire/rest'
import { describe, expect, it } from 'vitest'

interface Order {
  state: 'OPEN' | 'DONE'
  total: number
  id: bigint
  isPaid: boolean
  note: string | null
  placed: string
  customer: { name: string; address: { city: string } }
  tags: string[]
  items: { sku: string; count: number }[]
  labels: Record<string, string>
}

describe('a filter of AIP-160', () => {
  it.each([
    [where<Order>({ state: 'OPEN' }), 'state = "OPEN"'],
    [where<Order>({ state: bare('OPEN') }), 'state = OPEN'],
    [where<Order>({ total: { gt: 100, le: -1.5 } }), 'total > 100 AND total <= -1.5'],
    [where<Order>({ id: 9007199254740993n, isPaid: true }), 'id = 9007199254740993 AND isPaid = true'],
    [where<Order>({ note: null }), 'note = null'],
    [where<Order>({ placed: { ge: new Date(0) } }), 'placed >= "1970-01-01T00:00:00.000Z"'],
    [
      where<Order>({ 'customer.name': 'Ada', 'customer.address.city': 'Ulm' }),
      'customer.name = "Ada" AND customer.address.city = "Ulm"',
    ],
    [where<Order>({ tags: { has: 'new' }, 'items.sku': { has: 'a1' } }), 'tags:"new" AND items.sku:"a1"'],
    [where<Order>({ customer: { present: true } }), 'customer:*'],
    [where<Order>({ state: { in: ['OPEN', 'DONE'] }, total: 1 }), '(state = "OPEN" OR state = "DONE") AND total = 1'],
    [where<Order>({ state: { in: ['OPEN'] } }), 'state = "OPEN"'],
    [where<Order>({ 'customer.name': { like: '*.foo' } }), 'customer.name = "*.foo"'],
    [where<Order>({ 'labels.my-key': 'x', 'labels.NOT': 'y' }), 'labels."my-key" = "x" AND labels."NOT" = "y"'],
    [where<Order>({ note: 'say "hi"' }), `note = 'say "hi"'`],
    [where<Order>({ note: "it's" }), `note = "it's"`],
    [where<Order>({ note: 'a\\' }), 'note = "a\\\\"'],
    [where<Order>({ note: `it's "it"` }, { isEscaping: true }), `note = "it's \\"it\\""`],
    [where<Order>({}), ''],
    [allOf(), ''],
    [allOf('', where<Order>({ total: 1 })), 'total = 1'],
    [allOf(where<Order>({ total: 1 }), anyOf('a = 1', 'b = 2')), '(total = 1) AND ((a = 1) OR (b = 2))'],
    [not(anyOf('a = 1', 'b = 2')), 'NOT ((a = 1) OR (b = 2))'],
  ])('%s', (filter, written) => {
    expect(filter).toBe(written)
  })

  it.each([
    [() => where<Order>({ state: undefined } as never), 'would find more than was meant'],
    [() => where<Order>({ total: { gt: undefined } } as never), 'would find more than was meant'],
    [() => where<Order>({ total: Number.NaN }), 'no finite number'],
    [() => where<Order>({ placed: new Date(Number.NaN) }), 'no valid date'],
    [() => where<Order>({ note: 'a*' }), "holds '*'"],
    [() => where<Order>({ note: '\ud800' }), 'surrogate'],
    [() => where<Order>({ note: `'"` }), 'both kinds of quotes'],
    [() => where<Order>({ state: { in: [] } }), "asks for 'in'"],
    [() => where<Order>({ state: { toString: 1 } } as never), "asks for 'toString'"],
    [() => where<Order>({ tags: { has: [] } } as never), 'is no value'],
    [() => bare('a b'), 'one word'],
    [() => bare('OR'), 'one word'],
    [() => anyOf(), 'none of them empty'],
    [() => anyOf('a = 1', ''), 'none of them empty'],
    [() => not(''), 'not empty'],
    [() => not(undefined as never), 'not empty'],
    [() => allOf('a = 1', undefined as never), 'which are texts'],
    [() => anyOf('a = 1', null as never), 'none of them empty'],
    [() => where(null as never), 'an object of conditions'],
    [() => where('a = 1' as never), 'an object of conditions'],
    [() => where([] as never), 'an object of conditions'],
  ])('refuses %s', (make, words) => {
    try {
      make()
      expect.fail('it was made')
    } catch (error) {
      expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
      expect(String(error)).toContain(words)
    }
  })

  /** Strings as two kinds of servers read them: with and without escapes. */
  function lex(filter: string, isEscaping: boolean): { strings: string[]; rest: string } {
    const strings: string[] = []
    let rest = ''
    for (let at = 0; at < filter.length; at++) {
      const quote = filter[at] as string
      if (quote !== '"' && quote !== "'") {
        rest += quote
        continue
      }
      let text = ''
      for (at++; ; at++) {
        if (at >= filter.length) throw new Error('a text without an end')
        if (filter[at] === quote) break
        if (isEscaping && filter[at] === '\\') at++
        text += filter[at]
      }
      strings.push(text)
      rest += '§'
    }
    return { strings, rest }
  }

  it('refuses a field of which nothing is asked, and which would find everything', () => {
    class Instant {}
    for (const nothing of [{}, [], new Map([['gt', 1]]), new Set([1]), new Instant(), new URLSearchParams('gt=1')]) {
      const conditions = { state: 'OPEN', total: nothing } as never
      expect(() => where(conditions)).toThrow(/'total' of the filter asks for nothing/)
    }
    expect(where({})).toBe('')
  })

  it('no text becomes a part of the filter, whether the server reads escapes or not (random)', () => {
    const text = fc
      .array(fc.constantFrom('"', "'", '\\', 'a', ' ', ' OR ', ')', '(', '=', 'ü'))
      .map((all) => all.join(''))
    fc.assert(
      fc.property(text, text, (first, second) => {
        let filter: string
        try {
          filter = where<{ a: string; b: string }>({ a: first, b: second })
        } catch (error) {
          expect([first, second].some((each) => each.includes('"') && each.includes("'"))).toBe(true)
          expect(isCallError(error)).toBe(true)
          return
        }
        expect(lex(filter, true)).toEqual({ strings: [first, second], rest: 'a = § AND b = §' })
        expect(lex(filter, false).rest).toBe('a = § AND b = §')
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(text, (each) => {
        expect(lex(where<{ a: string }>({ a: each }, { isEscaping: true }), true).strings).toEqual([each])
      }),
    )
  })
})
