import { join } from 'node:path'
import { Application, type ProjectReflection } from 'typedoc'
import { type Entry, entries, specifier } from '../entries.ts'

/** What TypeDoc knows of the sources. */
export interface Model {
  readonly app: Application
  readonly project: ProjectReflection
}

/** Source → what a user imports. */
export type Sources = ReadonlyMap<string, string>

export function sourcesOfEntries(root: string): Sources {
  return new Map((Object.keys(entries) as Entry[]).map((name) => [join(root, entries[name]), specifier(name)]))
}

/** Reads the exports of the sources; each module is called what users import. */
export async function convert(root: string, sources: Sources, out?: string): Promise<Model> {
  const app = await Application.bootstrapWithPlugins({
    plugin: ['typedoc-plugin-markdown'],
    entryPoints: [...sources.keys()],
    alwaysCreateEntryPointModule: true,
    // What users import, and no more: a program of all tests takes twice as long.
    tsconfig: join(root, 'scripts/docs/tsconfig.json'),
    basePath: root,
    ...(out === undefined ? {} : { out }),
    name: 'API reference',
    readme: 'none',
    // The compiler has its own gate.
    skipErrorChecking: true,
    // Helpers of inference are not for users: they are shown, and not linked.
    validation: { notExported: false, invalidLink: true },
    excludeInternal: true,
    excludePrivate: true,
    sourceLinkTemplate: 'https://github.com/polywire/polywire/blob/main/{path}#L{line}',
    gitRevision: 'main',
    disableGit: true,
    sort: ['source-order'],
    groupOrder: ['Functions', 'Variables', 'Classes', 'Interfaces', 'Type Aliases', '*'],
    logLevel: 'Warn',
    ...({
      router: 'module',
      interfacePropertiesFormat: 'table',
      propertyMembersFormat: 'table',
      typeDeclarationFormat: 'table',
      parametersFormat: 'table',
      enumMembersFormat: 'table',
      hideBreadcrumbs: true,
      hidePageHeader: true,
      entryFileName: 'index',
      useHTMLAnchors: true,
      tableColumnSettings: { hideSources: true, hideModifiers: true },
    } as object),
  })
  const project = await app.convert()
  if (!project) throw new Error('TypeDoc could not read the sources')
  for (const module of project.children ?? []) {
    const file = module.sources?.[0]?.fullFileName
    const name = file === undefined ? undefined : sources.get(file)
    if (name !== undefined) module.name = name
  }
  return { app, project }
}
