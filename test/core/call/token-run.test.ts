import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it, vi } from 'vitest'
import type { TokenRun } from '../../../src/core/call/token-run.ts'

// Whether runs are followed is a state of the module: another file's tests may have begun it.
vi.resetModules()
const { Context, createContextKey } = await import('../../../src/core/call/context.ts')
const { contextOfRun, followTokenRuns, runTokenSource, tokenRunOf, withTokenRun } = await import(
  '../../../src/core/call/token-run.ts'
)

const source = {}
const begin = (outer?: TokenRun, of: object = source): TokenRun => ({
  source: of,
  outer,
  isOver: false,
  calls: 0,
  turn: 0,
})
const now = () => tokenRunOf(withTokenRun(Context.empty))
const turn = () => new Promise((resolve) => setImmediate(resolve))

// The first tests run as browsers do, without an async context.
describe('the run of a token source', () => {
  it('is known to what it starts before it first awaits, and not to what comes after', async () => {
    const run = begin()
    let later: TokenRun | undefined = run
    const work = runTokenSource(run, async () => {
      expect(now()).toBe(run)
      await turn()
      later = now()
    })
    expect(now()).toBeUndefined()
    await work
    expect(later).toBeUndefined()
  })

  it('is left where the source throws', () => {
    const fail = () => {
      throw new Error('x')
    }
    expect(() => runTokenSource(begin(), fail)).toThrow('x')
    expect(now()).toBeUndefined()
  })

  it('is not known any more once it is over', () => {
    const run = begin()
    const context = contextOfRun(Context.empty, run)
    expect(tokenRunOf(context)).toBe(run)
    run.isOver = true
    expect(tokenRunOf(context)).toBeUndefined()
    expect(runTokenSource(run, now)).toBeUndefined()
  })

  it('is found through the run of another source, and apart from it', () => {
    const outer = begin()
    const inner = begin(outer, {})
    const context = contextOfRun(Context.empty, inner)
    expect(tokenRunOf(context)).toBe(inner)
    expect(tokenRunOf(context, source)).toBe(outer)
    expect(tokenRunOf(context, {})).toBeUndefined()
  })

  it('stands beside the other values of a context', () => {
    const key = createContextKey('none')
    const run = begin()
    const context = runTokenSource(run, () => withTokenRun(key.with('some')))
    expect(context.get(key)).toBe('some')
    expect(tokenRunOf(context)).toBe(run)
  })

  it('is known to all that it awaits, where there is an async context', async () => {
    followTokenRuns(() => new AsyncLocalStorage())
    const run = begin()
    let late: Promise<TokenRun | undefined> | undefined
    await runTokenSource(run, async () => {
      await turn()
      expect(now()).toBe(run)
      late = turn().then(now)
    })
    run.isOver = true
    expect(await late).toBeUndefined()
    expect(now()).toBeUndefined()
  })
})
