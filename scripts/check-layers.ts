/** Proves the table in layers.ts over src/ and transports/: `node scripts/check-layers.ts [root]`. */
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, join, matchesGlob, posix } from 'node:path'
import ts from 'typescript'
import { builtIns, layers, libraries, limits, smallFiles } from './layers.ts'

export interface Finding {
  readonly file: string
  readonly line: number
  readonly rule:
    | 'layer'
    | 'library'
    | 'cycle'
    | 'circle'
    | 'default-export'
    | 'file-length'
    | 'small-file'
    | 'function-length'
  readonly text: string
}

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
  readonly line: number
}

export function checkLayers(root: string): Finding[] {
  const files = globSync('{src,transports}/**/*.ts', { cwd: root })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => !/\/gen\/|\.(gen|d)\.ts$/.test(file))
    .sort()
  const graph = new Map<string, string[]>()
  /** With imports of types. */
  const whole = new Map<string, string[]>()
  const lengths = new Map<string, number>()
  const findings = files.flatMap((file) => {
    const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
    const imports = importsOf(source)
    const local = imports.filter((i) => i.specifier.startsWith('.'))
    const targets = (list: readonly Import[]): string[] => list.map((i) => resolve(file, i.specifier))
    graph.set(file, targets(local.filter((i) => !i.typeOnly)))
    whole.set(file, targets(local))
    lengths.set(file, linesOf(source))
    return [...imports.flatMap((i) => checkImport(file, i)), ...checkShape(file, source)]
  })
  return [...findings, ...cycles(graph), ...checkCircle(whole), ...checkSmall(whole, lengths)]
}

function checkImport(file: string, { specifier, line }: Import): Finding[] {
  if (!specifier.startsWith('.')) {
    const table: Readonly<Record<string, string | readonly string[]>> = { ...builtIns, ...libraries }
    const name = Object.keys(table).find((lib) => matchesGlob(specifier, lib) || specifier.startsWith(`${lib}/`))
    const rooms = name === undefined ? [] : [table[name] ?? []].flat()
    if (rooms.some((glob) => matchesGlob(file, glob))) return []
    return [
      {
        file,
        line,
        rule: 'library',
        text: `may not import '${specifier}' (${rooms.length ? `only ${rooms.join(', ')} may` : 'not in the table'})`,
      },
    ]
  }
  const layer = layers.find((row) => matchesGlob(file, row.files))
  const target = resolve(file, specifier)
  const own = basename(file, extname(file))
  if (layer?.may.some((glob) => matchesGlob(target, glob.replace('{own}', own)))) return []
  return [
    {
      file,
      line,
      rule: 'layer',
      text: `may not import ${target} (${layer ? layer.why : 'no row for this file in scripts/layers.ts'})`,
    },
  ]
}

/** Line counts and default exports. */
function checkShape(file: string, source: ts.SourceFile): Finding[] {
  const findings: Finding[] = []
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1
  const total = linesOf(source)
  const most = /^transports\/[^/]+$/.test(file) ? limits.faceLines : limits.fileLines
  if (total > most) findings.push({ file, line: 1, rule: 'file-length', text: `${total} lines, at most ${most}` })
  visit(source, (node) => {
    if (isDefaultExport(node))
      findings.push({ file, line: lineOf(node.getStart()), rule: 'default-export', text: 'export by name' })
    if (!ts.isFunctionLike(node)) return
    const line = lineOf(node.getStart())
    const lines = lineOf(node.end) - line + 1
    if (lines > limits.functionLines)
      findings.push({ file, line, rule: 'function-length', text: `${lines} lines, at most ${limits.functionLines}` })
  })
  return findings
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true
  if (ts.isExportSpecifier(node)) return node.name.text === 'default'
  return ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((m) => m.kind === ts.SyntaxKind.DefaultKeyword)
}

/** Static and dynamic imports, re-exports and `import('…')` types. */
function importsOf(source: ts.SourceFile): Import[] {
  const imports: Import[] = []
  visit(source, (node) => {
    const specifier = specifierOf(node)
    if (specifier && ts.isStringLiteralLike(specifier)) {
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1
      imports.push({ specifier: specifier.text, typeOnly: isTypeOnly(node), line })
    }
  })
  return imports
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0]
  return undefined
}

/** Types may refer to each other in a circle; modules that load each other may not. */
function isTypeOnly(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
  return ts.isImportTypeNode(node) || (ts.isExportDeclaration(node) && node.isTypeOnly)
}

/** One finding a cycle, at the file that is first by name. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): Finding[] {
  const findings = new Map<string, Finding>()
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file)
    if (start >= 0) {
      const loop = path.slice(start)
      const first = [...loop].sort()[0] ?? file
      const turned = [...loop.slice(loop.indexOf(first)), ...loop.slice(0, loop.indexOf(first)), first]
      findings.set(turned.join(), { file: first, line: 1, rule: 'cycle', text: turned.join(' → ') })
    } else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) walk(next, [...path, file])
      done.add(file)
    }
  }
  for (const file of graph.keys()) walk(file, [])
  return [...findings.values()]
}

/** What refers to each other in a circle, types included, has to be read as one: the core's largest circle is limited. */
function checkCircle(graph: ReadonlyMap<string, readonly string[]>): Finding[] {
  const core = [...graph.keys()].filter((file) => file.startsWith('src/core/'))
  const reached = new Map(core.map((file) => [file, reachable(file, graph)]))
  const circleOf = (file: string): string[] =>
    core.filter((other) => reached.get(file)?.has(other) && reached.get(other)?.has(file))
  const largest = core.map(circleOf).reduce((most, circle) => (circle.length > most.length ? circle : most), [])
  if (largest.length <= limits.coreCircle) return []
  const text = `${largest.length} files refer to each other in a circle, at most ${limits.coreCircle}: ${largest.join(', ')}`
  return [{ file: largest[0] ?? '', line: 1, rule: 'circle', text }]
}

function reachable(file: string, graph: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set<string>()
  const walk = (each: string): void => {
    for (const next of graph.get(each) ?? []) {
      if (seen.has(next)) continue
      seen.add(next)
      walk(next)
    }
  }
  walk(file)
  return seen
}

/** A short file that one file imports belongs into it; but for the few of the table. */
function checkSmall(graph: ReadonlyMap<string, readonly string[]>, lengths: ReadonlyMap<string, number>): Finding[] {
  const importers = (file: string): string[] => [...graph].filter(([, to]) => to.includes(file)).map(([from]) => from)
  return [...lengths].flatMap(([file, lines]) => {
    if (lines >= limits.smallLines || file in smallFiles) return []
    const [only, ...more] = importers(file)
    if (only === undefined || more.length > 0) return []
    return [{ file, line: 1, rule: 'small-file' as const, text: `${lines} lines that only ${only} imports` }]
  })
}

const linesOf = (source: ts.SourceFile): number => source.text.split('\n').length - (source.text.endsWith('\n') ? 1 : 0)

const resolve = (file: string, specifier: string): string => posix.join(dirname(file), specifier)

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  ts.forEachChild(node, (child) => visit(child, see))
}

if (import.meta.main) {
  const findings = checkLayers(process.argv[2] ?? process.cwd())
  for (const { file, line, rule, text } of findings) console.error(`${file}:${line} ${rule}: ${text}`)
  console.log(
    findings.length
      ? `${findings.length} findings; the table is scripts/layers.ts`
      : 'layers: every import keeps to scripts/layers.ts',
  )
  process.exitCode = findings.length ? 1 : 0
}
