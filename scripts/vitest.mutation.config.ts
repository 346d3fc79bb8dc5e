/** What `npm run mutate` runs: the tests of the sources without those that start other programs. */
import { defineConfig } from 'vitest/config'
import base from '../vitest.config.ts'

const { projects: _, ...test } = base.test ?? {}
const tests = process.env.POLYWIRE_MUTATION_TESTS ?? '**'

export default defineConfig({
  ...base,
  test: {
    ...test,
    include: [`test/{${tests}}.test.ts`],
    exclude: [
      'test/{package,browser,soak,docs,examples,types}/**',
      'test/conformance/grpc/**',
      '**/nginx.test.ts',
      'test/core/store/stored-cursor-crashes.test.ts',
    ],
  },
})
