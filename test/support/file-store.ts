import { mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Store } from 'polywire'

/** A store over a folder, a file an entry, as a user would write one: a folder made is a lock held. */
export function fileStore(folder: string): Store {
  const fileOf = (key: string) => join(folder, Buffer.from(key).toString('base64url').slice(-200))
  const get = (key: string) => {
    try {
      return readFileSync(fileOf(key), 'utf8')
    } catch {
      return undefined
    }
  }
  const change = async (key: string, isMet: (old: string | undefined) => boolean, next: string | undefined) => {
    const file = fileOf(key)
    const lock = `${file}.lock`
    while (!tryTo(() => mkdirSync(lock))) {
      // Nobody holds one for so long: its process was killed.
      tryTo(() => Date.now() - statSync(lock).mtimeMs > 1000 && rmdirSync(lock))
      await new Promise(setImmediate)
    }
    const isDone = isMet(get(key))
    if (isDone && next === undefined) rmSync(file)
    else if (isDone && next !== undefined) {
      writeFileSync(`${file}.new`, next)
      renameSync(`${file}.new`, file)
    }
    rmdirSync(lock)
    return isDone
  }
  return {
    traits: { isAtomic: true, isShared: true, isDurable: true },
    get,
    set: (key, value) => change(key, () => true, value),
    add: (key, value) => change(key, (old) => old === undefined, value),
    compareAndSet: (key, expected, next) => change(key, (old) => old === expected, next),
    delete: (key, { ifValue } = {}) =>
      change(key, (old) => old !== undefined && (ifValue === undefined || old === ifValue), undefined),
  }
}

function tryTo(run: () => unknown): boolean {
  try {
    run()
    return true
  } catch {
    return false
  }
}
