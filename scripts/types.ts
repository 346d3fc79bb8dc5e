/**
 * `npm run types`: sources, tests, type tests and examples under both compilers, then the budget for the type checker,
 * which is of the declarations that users get.
 */
import { compile, compilers } from './compilers.ts'
import { checkInstantiations } from './instantiations.ts'
import { checkContracts } from './openapi-contracts.ts'

let failed = false
for (const [name, compiler] of Object.entries(compilers)) {
  const { ok, output, ms } = compile(compiler, '-p', 'tsconfig.json')
  console.log(`${ok ? '✓' : '✗'} ${name}: the whole repository in ${ms} ms`)
  if (!ok) console.log(output)
  failed ||= !ok
}
if (!checkInstantiations()) failed = true
if (!(await checkContracts())) failed = true
process.exitCode = failed ? 1 : 0
