import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programsOf } from '../docs/support/programs.ts'

const root = join(import.meta.dirname, '../..')

/**
 * A function as a page of the docs has it, so that what is tested is what users copy: the first program that declares it, up
 * to the end of that function.
 */
export async function documented<T>(page: string, name: string): Promise<T> {
  const found = programsOf(root, page).find(({ code }) => code.includes(`function ${name}(`))
  if (!found) throw new Error(`${page} declares no ${name}()`)
  const end = found.code.indexOf('\n}\n', found.code.indexOf(`function ${name}(`))
  const code = end < 0 ? found.code : found.code.slice(0, end + 3)
  const folder = join(import.meta.dirname, '.documented')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${name}-${process.pid}.ts`)
  writeFileSync(file, code.includes(`export function ${name}(`) ? code : `${code}\nexport { ${name} }\n`)
  try {
    return (await import(file)) as T
  } finally {
    rmSync(file)
  }
}
