/** One call in a test, as a newcomer writes it: for vitest, and for jest as an ES module and in CommonJS. */
const body = `async () => {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: 'http://127.0.0.1:' + process.env.PORT }) },
  })
  try {
    expect(await client.call(get('/users/{id}', { output: type() }), { id: 42 })).toMatchObject({ name: 'Ada' })
  } finally {
    await client.close()
  }
}`
const imports = "import { createClient, type } from 'polywire'\nimport { get, restTransport } from 'polywire/rest'\n"
const requires =
  "const { createClient, type } = require('polywire')\nconst { get, restTransport } = require('polywire/rest')\n"

/** The files of the tests. */
export const testFiles: Readonly<Record<string, string>> = {
  'vitest.test.mjs': `import { expect, test } from 'vitest'\n${imports}test('a call', ${body})\n`,
  'esm.test.mjs': `${imports}test('a call', ${body})\n`,
  'plain.test.cjs': `${requires}test('a call', ${body})\n`,
}

interface JestRun {
  readonly name: string
  readonly isOldest: boolean
  /** Of Node. */
  readonly options: readonly string[]
  readonly config: object
}

const swc = ['@swc/jest', { jsc: { target: 'es2023' }, module: { type: 'commonjs' } }]
const base = { moduleFileExtensions: ['js', 'mjs', 'cjs', 'json'] }
const vmModules = ['--experimental-vm-modules', '--no-warnings']

/** The three ways of docs/jest.md. */
export const jestConfigs: readonly JestRun[] = [
  {
    name: 'jest, ES modules',
    isOldest: false,
    options: vmModules,
    config: { ...base, testMatch: ['**/esm.test.mjs'], transform: {} },
  },
  {
    name: 'jest, CommonJS',
    isOldest: false,
    options: vmModules,
    config: { ...base, testMatch: ['**/plain.test.cjs'], transform: {} },
  },
  {
    name: 'jest, CommonJS on the oldest Node, all transformed',
    isOldest: true,
    options: [],
    config: {
      ...base,
      testMatch: ['**/plain.test.cjs'],
      transform: { '\\.[cm]?[jt]sx?$': swc },
      transformIgnorePatterns: [],
    },
  },
]
