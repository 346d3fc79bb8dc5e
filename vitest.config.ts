import { defineConfig } from 'vitest/config'

/** Tests run on the sources: `polywire/rest` and `#platform` resolve by the condition `polywire-source`. */
const conditions = ['polywire-source', 'node', 'import', 'module', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/soak/**', 'test/browser/**', 'test/runtimes/**', 'test/docs/**', '**/node_modules/**'],
    testTimeout: 10_000,
  },
})
