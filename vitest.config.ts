import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Tests run on the sources: `polywire/rest` and `#platform` resolve by the condition `polywire-source`. Node gets these,
 * too, for what packages require: with 'import' among them, CommonJS would get ES modules.
 */
const conditions = ['polywire-source', 'node']

/** `npm test` runs sources, graphql17 and package; browser and soak have a script each. */
const project = (name: string, include: string | string[], options: object = {}): TestProjectInlineConfiguration => ({
  extends: true,
  test: { name, include: [include].flat(), ...options },
})

/** `POLYWIRE_UNDICI=undici-newest`: the sources take the newest undici instead of the oldest of the range. */
const undici = process.env.POLYWIRE_UNDICI
const alias = undici ? [{ find: /^undici(?=\/|$)/, replacement: undici }] : []

/** `POLYWIRE_EXCLUDE=test/conformance/**`, with commas between several: vitest gives `--exclude` to no project. */
const excluded = process.env.POLYWIRE_EXCLUDE?.split(',') ?? []
const others = ['test/{package,browser,soak}/**', ...excluded]

/**
 * Files that replace modules or globals, or hear what happens to the process: each has a process of its own. The others
 * share one after the other, and load the sources once.
 */
const replaces =
  /\bvi\.(mock|doMock|resetModules|stubGlobal|stubEnv|useFakeTimers|spyOn)\b|\bglobalThis\.\w+ = |defineProperty\((globalThis|process)|process\.env\.\w+ = |\bprocess\.(on|once)\(|setupServer|setGlobalDispatcher/
const alone = globSync('test/**/*.test.ts', { cwd: import.meta.dirname }).filter((file) =>
  replaces.test(readFileSync(new URL(file, import.meta.url), 'utf8')),
)

/** What takes a minute and more is begun first: nobody is to wait for it alone in the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) =>
      /(soak\/(continue|outbox)|outbox\/kills|gateways|consumer-types|docs)\.test\.ts$/.test(moduleId)
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

/** The tests that print documents, or that servers answer whose makers support graphql 17. */
const graphql17 = ['document', 'incremental', 'json-codec', 'socket-requests', 'sse', 'subscriptions', 'uploads']

export default defineConfig({
  resolve: { conditions, alias },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  oxc: { target: 'es2022' },
  test: {
    // A test that hangs fails; one that waits for a busy machine does not.
    testTimeout: 30_000,
    // Most tests wait for servers: four files at a time also where there are but two cores.
    maxWorkers: Math.max(4, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      project('sources', 'test/**/*.test.ts', { exclude: [...others, ...alone], isolate: false }),
      project('sources-alone', alone, { exclude: others }),
      // What depends on the version of graphql. Servers are loaded by Node, where a hook gives them 17; an alias does in vite.
      {
        ...project('graphql17', `test/{conformance/graphql-interop,transports/graphql/{${graphql17.join()}}}.test.ts`, {
          isolate: false,
          execArgv: ['--import', fileURLToPath(new URL('test/support/graphql-17.mjs', import.meta.url))],
        }),
        resolve: { conditions, alias: [...alias, { find: /^graphql(?=\/|$)/, replacement: 'graphql17' }] },
      },
      project('package', 'test/package/**/*.test.ts', {
        globalSetup: 'test/package/support/build-beside.ts',
        setupFiles: 'test/package/support/build-beside.ts',
        testTimeout: 120_000,
      }),
      project('browser', 'test/browser/**/*.test.ts', {
        globalSetup: 'scripts/chromium.ts',
        testTimeout: 60_000,
        hookTimeout: 60_000,
      }),
      project('soak', 'test/soak/**/*.test.ts', { testTimeout: 20 * 60_000, hookTimeout: 60_000 }),
    ],
  },
})
