import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { CallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { addCaller } from '../../../src/core/errors/error.ts'
import { memoryClient, unaryOperation } from '../../support/memory-client.ts'

const script = fileURLToPath(new URL('caller.mjs', import.meta.url))
const ways = [
  'direct',
  'inHelper',
  'reply',
  'call',
  'all',
  'chained',
  'items',
  'loop',
  'opened',
  'send',
  'next',
  'badInput',
  'rejects',
]

describe('the stack of an error', () => {
  const output = execFileSync(process.execPath, ['--conditions=polywire-source', script], { encoding: 'utf8' })
  const results = JSON.parse(output) as Record<string, { line: number; stack: string }>

  it.each(ways)('holds the line of the caller: %s', (way) => {
    const { line, stack } = results[way] as { line: number; stack: string }
    expect(stack).toMatch(/^CallError: \[/)
    expect(stack).toContain(`caller.mjs:${line}:`)
  })

  it('holds it in vitest', async () => {
    const { client } = memoryClient(
      () =>
        new Promise((_resolve, reject) =>
          setTimeout(() => reject(new CallError({ code: 'not_found', message: 'gone' })), 5),
        ),
      { retry: false },
    )
    const error = await client.call(unaryOperation()).catch((failure: unknown) => failure as Error)
    expect((error as Error).stack).toContain('caller.test.ts')
  })

  it('is left alone where there is nothing to add, or nothing can be', () => {
    const error = new CallError({ code: 'not_found', message: 'gone' })
    const before = error.stack
    expect(addCaller(error)).toBe(error)
    expect(error.stack).toBe(before)
    const frozen = Object.freeze(new CallError({ code: 'not_found', message: 'gone' }))
    expect(addCaller(frozen)).toBe(frozen)
    const other = new Error('of somebody else')
    const stack = other.stack
    addCaller(other)
    expect(other.stack).toBe(stack)
    expect(addCaller('left')).toBe('left')
    expect(addCaller(undefined)).toBe(undefined)
  })

  it('is not enumerable', async () => {
    const { client } = memoryClient(() => Promise.reject(new CallError({ code: 'not_found', message: 'gone' })))
    const error = await client.call(unaryOperation()).catch((failure: unknown) => failure)
    expect(Object.keys(error as object)).not.toContain('stack')
  })
})
