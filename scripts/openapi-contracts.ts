/**
 * `npm run types`: every operation of the published descriptions, as openapi-typescript generates their types, declared as
 * the compiler asks and called with an input that the description allows; with a description for run time and by the types
 * alone. Fails where a call does not compile, or costs more than the budget of instantiations.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import openapiTS, { astToString } from 'openapi-typescript'
import { forTypes } from 'polywire/openapi'
import {
  type DescriptionName,
  descriptions,
  type Json,
  operationsOf,
  readDescription,
} from '../test/support/openapi/document.ts'
import { makeCase } from '../test/support/openapi/exercise.ts'
import { Samples } from '../test/support/openapi/samples.ts'
import buildIfStale from './build-if-stale.ts'
import { compile, compilers, root } from './compilers.ts'

const folder = '.cache/openapi'

/** A value as it is written in a program. */
function literal(value: unknown): string {
  if (ArrayBuffer.isView(value)) return 'new Uint8Array()'
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined'
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{ ${members.map(([name, member]) => `${JSON.stringify(name)}: ${literal(member)}`).join(', ')} }`
}

function contractOf(
  name: string,
  document: Json,
  mode: 'described' | 'typed',
  skip: readonly string[],
): { source: string; count: number } {
  const samples = new Samples(document, 7)
  const operations: string[] = []
  const calls: string[] = []
  for (const operation of operationsOf(document)) {
    if (skip.includes(operation.name)) continue
    const made = makeCase(document, operation, samples, mode)
    if (!made) continue
    const at = operations.length
    const spec = Object.keys(made.spec).length > 0 ? `, ${literal(made.spec)}` : ''
    operations.push(`  op${at}: described.${operation.method}(${JSON.stringify(operation.path)}${spec}),`)
    calls.push(`  await api.op${at}(${literal(made.input)})`)
  }
  const options = mode === 'described' ? '{ description }' : ''
  const source = `import { createClient } from 'polywire'
import type { Described } from 'polywire/openapi'
import { openapi, restTransport } from 'polywire/rest'
import type { paths, webhooks } from './${name}.d.ts'
import { openapiWebhooks } from 'polywire/webhooks'
declare const description: Described
const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://example.com' }) } })
const described = openapi<paths>(${options})
export const api = client.bind({
${operations.join('\n')}
})
export async function calls() {
${calls.join('\n')}
}
const hook = openapiWebhooks<webhooks>()
export const hooks = {
${Object.keys(document.webhooks ?? {})
  .map((each, at) => `  hook${at}: hook(${JSON.stringify(each)}),`)
  .join('\n')}
}
export { description }
`
  return { source, count: operations.length }
}

/** Where description, types or samples are at fault, and no call could compile. */
const skipped: Partial<Record<DescriptionName, readonly string[]>> = {
  box: ['POST /invites', 'POST /oauth2/revoke'],
  github: ['POST /orgs/{org}/campaigns'],
}

/**
 * For one operation and its call, what is paid once shared among them (a hundred or so for the head of the program); of a
 * small description, where that weighs, it is only reported.
 */
const budget = 710

function measure(compiler: string, source: string) {
  writeFileSync(join(root, folder, 'contract.ts'), source)
  const compiled = compile(compiler, '-p', `${folder}/tsconfig.json`, '--extendedDiagnostics')
  return { ...compiled, instantiations: Number(/Instantiations:\s+(\d+)/.exec(compiled.output)?.[1] ?? Number.NaN) }
}

function check(
  title: string,
  compiler: string,
  name: DescriptionName,
  mode: 'described' | 'typed',
  document: Json,
): boolean {
  const { source, count } = contractOf(name, document, mode, skipped[name] ?? [])
  const all = measure(compiler, source)
  const each = Math.round(all.instantiations / count)
  const isSmall = count < 100
  const isOk = all.ok && (isSmall || each <= budget)
  const bar = isSmall ? 'reported only' : `at most ${budget}`
  console.log(
    `${isOk ? '✓' : '✗'} ${title}: ${count} operations of ${name} with a call each, ${mode}: ${each} instantiations each (${bar}); ${all.ms} ms`,
  )
  if (!all.ok) console.log(all.output.split('\n').slice(0, 20).join('\n'))
  return isOk
}

/** @param names - which descriptions. @defaultValue all */
export async function checkContracts(names: readonly DescriptionName[] = descriptions): Promise<boolean> {
  buildIfStale()
  mkdirSync(join(root, folder), { recursive: true })
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { customConditions: [] },
    include: ['contract.ts'],
    exclude: [],
  }
  writeFileSync(join(root, folder, 'tsconfig.json'), JSON.stringify(config))
  let isOk = true
  for (const name of names) {
    const document = readDescription(name)
    // GitHub describes them in OpenAPI 3.0, which has no place for them.
    document.webhooks ??= document['x-webhooks']
    writeFileSync(
      join(root, folder, `${name}.d.ts`),
      astToString(await openapiTS(forTypes(document) as never, { silent: true })),
    )
    for (const mode of ['described', 'typed'] as const)
      for (const [title, compiler] of Object.entries(compilers)) {
        // The slower compiler reads one; a large one is among the budgets of instantiations.
        if (compiler === 'typescript' && (name !== 'stripe' || mode !== 'described')) continue
        isOk = check(title, compiler, name, mode, document) && isOk
      }
    if (name !== 'github') continue
    // The same as Octokit ships them.
    writeFileSync(join(root, folder, 'github.d.ts'), "export type { paths, webhooks } from '@octokit/openapi-types'\n")
    isOk = check('TypeScript 7, @octokit/openapi-types', compilers['TypeScript 7'], name, 'typed', document) && isOk
  }
  return isOk
}

if (import.meta.main)
  process.exitCode = (await checkContracts(process.argv[2]?.split(',') as DescriptionName[] | undefined)) ? 0 : 1
