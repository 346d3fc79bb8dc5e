/** What `npm run mutate` runs: tests of the sources that start no other program, since a mutant does not reach into those. */
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import base from '../vitest.config.ts'

const { projects: _, ...test } = base.test ?? {}
const tests = process.env.POLYWIRE_MUTATION_TESTS ?? '**'

/** A mutant's run ends with the first test that fails: files that take long come last. */
class ShortestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).reverse()
  }
}

export default defineConfig({
  ...base,
  test: {
    ...test,
    // A mutant that hangs is noticed soon: most of the time of a run goes into these.
    testTimeout: 8_000,
    sequence: { sequencer: ShortestFirst },
    include: [`test/{${tests}}.test.ts`],
    exclude: [
      'test/{package,browser,soak,docs,examples,types}/**',
      'test/conformance/grpc/**',
      'test/core/errors/caller.test.ts',
      'test/core/store/stored-cursor-crashes.test.ts',
      'test/transports/{graphql,grpc}/peer*.test.ts',
      'test/transports/http/engine/node.test.ts',
      'test/transports/rest/openapi-descriptions.test.ts',
      'test/transports/platform/bundle.test.ts',
      'test/transports/socket/driver/ws.test.ts',
      'test/transports/sse/stored-cursors.test.ts',
      '**/nginx.test.ts',
    ],
  },
})
