import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { PagerInfo } from '../../../src/core/call/operation.ts'
import { cursorPages, nestedPager } from '../../../transports/shared/pages.ts'

const pager = (options: Parameters<typeof cursorPages>[0]) => cursorPages(options as never) as unknown as PagerInfo
/** The next page: its cursor, and the input that asks for it. */
const follow = (by: PagerInfo, input: unknown, page: unknown) => {
  const cursor = by.nextCursor(page, { input, at: undefined, headers: HeaderMap.empty })
  return cursor === undefined ? undefined : { input: by.inputAt(input, cursor), cursor }
}

describe('the next page', () => {
  it.each([
    ['cursor', 'cursor'],
    ['next_cursor', 'cursor'],
    ['nextCursor', 'cursor'],
    ['next-cursor', 'cursor'],
    ['nextPageToken', 'pageToken'],
    ['next_page_token', 'page_token'],
    ['meta.next_cursor', 'cursor'],
    ['next', 'cursor'],
    ['data.-1.id', 'id'],
    ['endCursor', 'endCursor'],
  ])('of next: %s is asked for by %s', (next, param) => {
    const page = {
      cursor: 'c',
      next_cursor: 'c',
      nextCursor: 'c',
      'next-cursor': 'c',
      nextPageToken: 'c',
      next_page_token: 'c',
      next: 'c',
      endCursor: 'c',
      meta: { next_cursor: 'c' },
      data: [{ id: 'b' }, { id: 'c' }],
    }
    expect(follow(pager({ next }), { size: 2 }, page)).toEqual({ input: { size: 2, [param]: 'c' }, cursor: 'c' })
  })

  it('param says otherwise', () => {
    expect(follow(pager({ next: 'next_cursor', param: 'after' }), undefined, { next_cursor: 'c' })).toEqual({
      input: { after: 'c' },
      cursor: 'c',
    })
  })

  it.each([undefined, null, '', false])('there is none after %o', (next_cursor) => {
    expect(follow(pager({ next: 'next_cursor' }), {}, { next_cursor })).toBeUndefined()
  })

  it.each<[unknown, string]>([
    [{ after: 'c' }, 'of type object'],
    [['c'], 'a list'],
    [true, 'of type boolean'],
  ])('%o is no cursor: an error, not the end', (next_cursor, words) => {
    const next = () => follow(pager({ next: 'next_cursor' }), {}, { next_cursor })
    expect(next).toThrow(expect.objectContaining({ code: 'internal', sent: 'yes', isRetryable: false }))
    expect(next).toThrow(`'next_cursor' of the page is no cursor but ${words}`)
  })

  it('more that follows without a cursor is an error, not the end', () => {
    const listed = pager({ items: 'data', next: 'cursor', more: 'has_more' })
    expect(() => follow(listed, {}, { data: [1], has_more: true })).toThrow("'has_more' says that more follows")
    expect(follow(listed, {}, { data: [1] })).toBeUndefined()
  })

  it('0 is a cursor', () => {
    expect(follow(pager({ next: 'next_offset' }), {}, { next_offset: 0 })).toEqual({
      input: { offset: 0 },
      cursor: 0,
    })
  })

  it('where the page is the list, its last item holds the cursor', () => {
    expect(follow(pager({ next: 'id', param: 'after' }), {}, [{ id: 1 }, { id: 2 }])).toEqual({
      input: { after: 2 },
      cursor: 2,
    })
    expect(follow(pager({ next: 'id' }), {}, [])).toBeUndefined()
  })

  it('more: false ends the pages although a cursor could be read', () => {
    const stripe = pager({ items: 'data', next: 'data.-1.id', more: 'has_more', param: 'starting_after' })
    expect(follow(stripe, {}, { data: [{ id: 'x' }], has_more: true })?.cursor).toBe('x')
    expect(follow(stripe, {}, { data: [{ id: 'x' }], has_more: false })).toBeUndefined()
  })

  it('a member whose own name holds dots is found, an inherited one is not', () => {
    expect(follow(pager({ next: 'meta.next', param: 'p' }), {}, { 'meta.next': 'c' })?.cursor).toBe('c')
    expect(follow(pager({ next: 'constructor.name', param: 'p' }), {}, {})).toBeUndefined()
  })

  it('goes into one part of a nested input', () => {
    const nested = nestedPager(pager({ next: 'next_cursor' }), 'query')
    expect(follow(nested, { params: { id: 1 }, query: { size: 2 } }, { next_cursor: 'c' })).toEqual({
      input: { params: { id: 1 }, query: { size: 2, cursor: 'c' } },
      cursor: 'c',
    })
    expect(follow(nested, undefined, { next_cursor: 'c' })?.input).toEqual({ query: { cursor: 'c' } })
    expect(follow(nested, undefined, {})).toBeUndefined()
  })
})

it.each<[unknown, string]>([
  [{ nxt: 'cursor' }, "unknown option 'nxt': did you mean 'next'?"],
  [{ next: 'n', item: 'users' }, "did you mean 'items'?"],
  [{ next: 5 }, 'next takes'],
  [{ next: 'n', items: ['users'] }, 'items takes'],
  [{ items: 'users' }, 'cursorPages({ next })'],
  [undefined, 'the options are an object'],
])('%o is refused where it is written', (options, message) => {
  const make = () => cursorPages(options as never)
  expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  expect(make).toThrow(message)
})

describe('the items of a page', () => {
  it.each<[Parameters<typeof cursorPages>[0], unknown, unknown]>([
    [{ next: 'n' }, [1, 2], [1, 2]],
    [{ next: 'n', items: 'users' }, { users: [1] }, [1]],
    [{ next: 'n', items: 'a.users' }, { a: { users: [1] } }, [1]],
    [{ next: 'n', items: ((page: { x: number[] }) => page.x) as never }, { x: [3] }, [3]],
    [{ next: 'n', items: 'users' }, { users: null }, []],
  ])('%o of %o', (options, page, items) => {
    expect(pager(options).itemsOf(page)).toEqual(items)
  })

  it('what is no list is an error that says where', () => {
    expect(() => pager({ next: 'n', items: 'users' }).itemsOf({ users: 'x' })).toThrow(`'users' of the page is no list`)
    expect(() => pager({ next: 'n' }).itemsOf({})).toThrow('the page is no list')
    expect(() => pager({ next: 'n' }).itemsOf(undefined)).toThrow('the page is not there')
  })

  it.each<[string, unknown]>([
    ['users', {}],
    ['users', { data: [1] }],
    ['users', [1]],
    ['users', undefined],
    ['a.users', { a: null }],
    ['a.users', { users: [1] }],
  ])("'%s' that is not in %o is an error that says what to do", (items, page) => {
    const read = () => pager({ next: 'n', items }).itemsOf(page)
    expect(read).toThrow(expect.objectContaining({ code: 'internal', sent: 'yes', phase: 'body' }))
    expect(read).toThrow(`'${items}' of the page is not there`)
    expect(read).toThrow(`page.${items} ?? []`)
  })

  it('a function that throws is an error with its cause', () => {
    const cause = new Error('own')
    const items = () => {
      throw cause
    }
    expect(() => pager({ next: 'n', items: items as never }).itemsOf({})).toThrow(
      expect.objectContaining({ code: 'internal', cause }),
    )
  })
})
