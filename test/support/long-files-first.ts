import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** They wait for processes or pages most of the time, and are small. */
const long = /\/test\/(?:browser\/shared|outbox\/kills|gateways\/gateways|docs\/docs)\.test\.ts$/

/**
 * The order of vitest, but for those files: where it knows no durations yet, as in a fresh clone, it begins with large
 * files, and a small one that takes a minute would be left to run alone at the end.
 */
export class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const projects = [...new Set(sorted.map(({ project }) => project.name))]
    const rank = ({ project, moduleId }: TestSpecification): number =>
      2 * projects.indexOf(project.name) + (long.test(moduleId) ? 0 : 1)
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}
