/**
 * `npm run types`: sources, type tests and examples under both compilers, all other tests and scripts under the newer
 * one, then the budget for the type checker, which is of the declarations that users get.
 */
import { compile, compilers } from './compilers.ts'
import { checkInstantiations } from './instantiations.ts'
import { checkContracts } from './openapi-contracts.ts'

const parts = {
  'TypeScript 6': ['test/types', 'sources, type tests and examples'],
  'TypeScript 7': ['.', 'the whole repository'],
} as const

let failed = false
for (const [name, [config, what]] of Object.entries(parts)) {
  const { ok, output, ms } = compile(compilers[name as keyof typeof parts], '-p', config)
  console.log(`${ok ? '✓' : '✗'} ${name}: ${what} in ${ms} ms`)
  if (!ok) console.log(output)
  failed ||= !ok
}
if (!checkInstantiations()) failed = true
if (!(await checkContracts())) failed = true
process.exitCode = failed ? 1 : 0
