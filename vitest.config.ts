import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

/**
 * Tests run on the sources: `polywire/rest` and `#platform` resolve by the condition `polywire-source`. Node gets these,
 * too, for what packages require: with 'import' among them, CommonJS would get ES modules.
 */
const conditions = ['polywire-source', 'node']

/** `npm test` runs sources, graphql17 and package; browser and soak have a script each. */
const project = (name: string, include: string, options: object = {}): TestProjectInlineConfiguration => ({
  extends: true,
  test: { name, include: [include], ...options },
})

/** `POLYWIRE_UNDICI=undici-newest`: the sources take the newest undici instead of the oldest of the range. */
const undici = process.env.POLYWIRE_UNDICI
const alias = undici ? [{ find: /^undici(?=\/|$)/, replacement: undici }] : []

/** `.ci/run` has a gate for conformance, and runs it there only: `POLYWIRE_CONFORMANCE=apart`. */
const apart = process.env.POLYWIRE_CONFORMANCE === 'apart' ? ['test/conformance/**'] : []

/** The tests that print documents, or that servers answer whose makers support graphql 17. */
const graphql17 = ['document', 'incremental', 'json-codec', 'socket-requests', 'sse', 'subscriptions', 'uploads']

export default defineConfig({
  resolve: { conditions, alias },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  oxc: { target: 'es2022' },
  test: {
    // A test that hangs fails; one that waits for a busy machine does not.
    testTimeout: 30_000,
    // Most tests wait for servers: three files at a time also where there are but two cores.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    projects: [
      project('sources', 'test/**/*.test.ts', { exclude: ['test/{package,browser,soak}/**', ...apart] }),
      // What depends on the version of graphql. Servers are loaded by Node, where a hook gives them 17; an alias does in vite.
      {
        ...project('graphql17', `test/{conformance/graphql-interop,transports/graphql/{${graphql17.join()}}}.test.ts`, {
          execArgv: ['--import', fileURLToPath(new URL('test/support/graphql-17.mjs', import.meta.url))],
        }),
        resolve: { conditions, alias: [...alias, { find: /^graphql(?=\/|$)/, replacement: 'graphql17' }] },
      },
      project('package', 'test/package/**/*.test.ts', {
        globalSetup: 'scripts/build-if-stale.ts',
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
