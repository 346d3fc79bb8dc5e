/**
 * `npm run types`: the whole repository under the newer compiler; type tests and examples under the older one, on the
 * declarations that users get, which it has made of the sources; then the budget for the type checker, of the same.
 */
import buildIfStale from './build-if-stale.ts'
import { compile, compilers } from './compilers.ts'
import { checkInstantiations } from './instantiations.ts'
import { checkContracts } from './openapi-contracts.ts'

const parts = {
  'TypeScript 6': ['test/types', 'type tests and examples, on the declarations that users get'],
  'TypeScript 7': ['.', 'the whole repository'],
} as const

buildIfStale()
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
