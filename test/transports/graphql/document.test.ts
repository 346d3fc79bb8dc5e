import { parse, print } from 'graphql'
import { parse as parseOf17 } from 'graphql17'
import { describe, expect, it, test } from 'vitest'
import { prepareDocument, textOf } from '../../../transports/graphql/document.ts'

const origin = { operation: { name: 'query Q', protocol: 'graphql', via: 'graphql' } }

/** Kind, name and root fields, by the scan and by the real parser. */
function both(text: string, operationName?: string) {
  const read = (document: unknown) => {
    const { kind, operationName: name, rootFields } = prepareDocument(document, operationName)
    return [kind, name, rootFields]
  }
  return { scanned: read(text), parsed: read(parse(text)) }
}

describe('prepareDocument', () => {
  test.each([
    ['{ me { id } }', ['query', undefined, 1]],
    ['query { a b c }', ['query', undefined, 3]],
    ['query Q { me }', ['query', 'Q', 1]],
    ['mutation Add($a: Int = 1, $b: In = {x: 1, y: [2]}) { add(a: $a, b: $b) { id } }', ['mutation', 'Add', 1]],
    ['subscription On { ticks }', ['subscription', 'On', 1]],
    ['query Q @live(if: true) { me @include(if: true) other }', ['query', 'Q', 2]],
    ['query @live { me }', ['query', undefined, 1]],
    ['query ($id: ID!) { me }', ['query', undefined, 1]],
    ['# mutation Not { x }\nquery Q { me }', ['query', 'Q', 1]],
    ['query Q { say(text: "} mutation Not { x }") }', ['query', 'Q', 1]],
    ['query Q { say(text: "a \\" } mutation Not { x }") }', ['query', 'Q', 1]],
    ['query Q { say(text: """ } mutation Not { \\""" x } "" """) }', ['query', 'Q', 1]],
    ['query Q { say(text: "") other(text: """""") }', ['query', 'Q', 2]],
    ['fragment query on User { id } query Q { me { ...query } }', ['query', 'Q', 1]],
    ['fragment F on mutation { id } query Q { ...F }', ['query', 'Q', Number.POSITIVE_INFINITY]],
    ['mutation M { ... on Mutation { a } b }', ['mutation', 'M', Number.POSITIVE_INFINITY]],
    ['mutation M { first: add(a: 1) { x: id } second: add(a: 2) { id } }', ['mutation', 'M', 2]],
    ['query query { query mutation subscription fragment on }', ['query', 'query', 5]],
    ['\uFEFF query,Q,{,me,}', ['query', 'Q', 1]],
    ['query\r\nQ\t{me}', ['query', 'Q', 1]],
  ])('reads %j as the parser does', (text, expected) => {
    const { scanned, parsed } = both(text)
    expect(scanned).toEqual(expected)
    expect(parsed).toEqual(expected)
  })

  it('takes the operation that is named where there are several', () => {
    const text = 'query A { a } mutation B { b } fragment F on X { y }'
    expect(both(text, 'B').scanned).toEqual(['mutation', 'B', 1])
    expect(both(text, 'B').parsed).toEqual(['mutation', 'B', 1])
  })

  test.each([
    ['query A { a } query B { b }', undefined, "operationName is one of 'A', 'B'"],
    ['query A { a }', 'C', "no operation 'C'"],
    ['fragment F on X { y }', undefined, 'no query, mutation or subscription'],
    ['type Query { a: Int }', undefined, 'no query, mutation or subscription'],
    ['', undefined, 'no query, mutation or subscription'],
    [undefined, undefined, 'a string, a TypedDocumentString or a DocumentNode'],
    [{ kind: 'Field' }, undefined, 'a string, a TypedDocumentString or a DocumentNode'],
  ])('refuses %j (%s): %s', (document, name, message) => {
    expect(() => prepareDocument(document, name)).toThrow(TypeError)
    expect(() => prepareDocument(document, name)).toThrow(message)
  })

  it('takes a boxed string, as codegen makes them', () => {
    class TypedDocumentString extends String {}
    expect(prepareDocument(new TypedDocumentString('mutation M { a }'))).toMatchObject({
      kind: 'mutation',
      source: 'mutation M { a }',
    })
  })

  it('ends on an unclosed string without backtracking for ever', () => {
    const hostile = `query Q { a(b: """${'\\"""'.repeat(5000)}`
    expect(() => prepareDocument(hostile)).toThrow('never closed')
    expect(() => prepareDocument(`query Q { a(b: "${'\\'.repeat(10_001)}`)).toThrow('never closed')
  })

  test.each([
    ['query Q { a', '1 of { ( [ are never closed'],
    ['query Q($id: ID! { a(id: $id) }', 'never closed'],
    ['{ a { b { c }', '2 of { ( [ are never closed'],
    ['query Q { a } }', "a '}' closes nothing"],
    ['query Q) { a }', "a ')' closes nothing"],
  ])('that is not balanced says so: %s', (text, what) => {
    expect(() => prepareDocument(text)).toThrow(TypeError)
    expect(() => prepareDocument(text)).toThrow(what)
  })

  it('agrees with the parser on random documents', () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    const random = mulberry32(seed)
    for (let round = 0; round < 200; round++) {
      const text = randomDocument(random)
      const { scanned, parsed } = both(text)
      expect(scanned, `seed ${seed}: ${text}`).toEqual(parsed)
    }
  })

  it('prepares a document once, whoever asks', () => {
    const text = 'query Once { a }'
    expect(prepareDocument(text)).toBe(prepareDocument(`${'query '}Once { a }`))
    const node = parse(text)
    expect(prepareDocument(node)).toBe(prepareDocument(node))
  })

  it('remembers no more than a thousand texts', () => {
    const first = prepareDocument('query Forgotten { a }')
    for (let n = 0; n < 1000; n++) prepareDocument(`query Q${n} { a }`)
    expect(prepareDocument('query Forgotten { a }')).not.toBe(first)
  })
})

describe('textOf', () => {
  it('gives a text as it is, strings and all: no byte is changed', () => {
    const text = 'query Q {\n  say(text: "a, b   # c")  # kept\n}'
    expect(textOf(prepareDocument(text), origin)).toMatchObject({ text })
  })

  it('prints an AST once', async () => {
    const node = parse('query Printed { me { id } }')
    const first = await textOf(prepareDocument(node), origin)
    expect(first.text).toBe(print(node))
    expect(textOf(prepareDocument(node), origin)).toBe(first)
  })

  it('prints an AST of another copy of graphql, which knows nothing of this one', async () => {
    const text = 'query Other($id: ID! = 7) { me(id: $id) { id ... on User @include(if: true) { name } } }'
    const printed = await textOf(prepareDocument(parseOf17(text)), origin)
    expect(printed.text).toBe(print(parse(text)))
  })

  it('starts the JSON of the request', async () => {
    const { head } = await textOf(prepareDocument('query A { say(text: "x\\n") } query B { b }', 'A'), origin)
    expect(JSON.parse(`${head}}`)).toEqual({ query: 'query A { say(text: "x\\n") } query B { b }', operationName: 'A' })
    const anonymous = await textOf(prepareDocument('{ a }'), origin)
    expect(JSON.parse(`${anonymous.head}}`)).toEqual({ query: '{ a }' })
  })
})

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

function randomDocument(random: () => number): string {
  const pick = <T>(...of: T[]): T => of[Math.floor(random() * of.length)] as T
  const value = (): string => pick('1', '$v', '"a } b"', '"""x \\""" { y"""', '{k: [1, "("]}', 'ENUM', 'null', '"# no"')
  const args = () => pick('', '', `(a: ${value()}, b: ${value()})`)
  const directive = () => pick('', '', ` @include${args()}`)
  const space = () => pick(' ', '\n', ', ', ' # mutation { x }\n')
  const field = (depth: number): string =>
    pick('', 'alias: ') +
    pick('a', 'query', 'fragment', 'on') +
    args() +
    directive() +
    (depth > 0 && random() < 0.4 ? selection(depth - 1) : '')
  const spread = () => pick('...F', '... on T { x }', '... @include(if: true) { y }')
  const selection = (depth: number): string => {
    const fields = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
      random() < 0.15 ? spread() : field(depth),
    )
    return `{${space()}${fields.join(space())}${space()}}`
  }
  const fragment = pick('', `fragment ${pick('F', 'query', 'mutation')} on T ${selection(1)}`)
  const keyword = pick('query', 'mutation', 'subscription')
  const operation = `${keyword}${pick('', ' Named', ' query')}${pick('', '($v: I = {x: "}"})')}${directive()}${selection(2)}`
  return random() < 0.5 ? `${fragment}${space()}${operation}` : `${operation}${space()}${fragment}`
}
