import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { entries, specifier } from '../../scripts/entries.ts'

const root = join(import.meta.dirname, '../..')

/** What users write: options by their names, specs of operations, and objects such as a bearer token. */
const isWritten =
  /(Options|Spec|Policy|Init|Defaults|Style)$|^(Auth|Credential|BearerToken|Telemetry|MultipartFile|Codec|Transport|UploadInput)$/

/** A type is made of what stands there, `undefined` included; or the interface is of those who build a transport. */
const isInferredFrom =
  /^(ApiSpec|ApiStreamSpec)\.|^SourceOptions\.|Spec\.(input|query|body|shape|output|errors|paginate|response|until|resume|stop|cursors|result|progress|send|receive|recover|errorPolicy|lost)$/

it('under exactOptionalPropertyTypes each optional member takes undefined, as it does at run time', () => {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    customConditions: ['polywire-source'],
    allowImportingTsExtensions: true,
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
  }
  const files = Object.values(entries).map((file) => join(root, file))
  const program = ts.createProgram(files, options)
  const checker = program.getTypeChecker()
  const refusing: string[] = []
  let members = 0
  for (const [entry, file] of Object.entries(entries)) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, file)) as ts.SourceFile) as ts.Symbol
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
      const [declaration] = symbol.declarations ?? []
      if (!declaration || !isWritten.test(symbol.name)) continue
      for (const { name, type } of optionalMembers(declaration)) {
        members++
        const isRefusing = !takesUndefined(checker.getTypeFromTypeNode(type))
        if (isRefusing && !isInferredFrom.test(`${symbol.name}.${name}`))
          refusing.push(`${specifier(entry as keyof typeof entries)}: ${symbol.name}.${name}`)
      }
    }
  }
  expect(members).toBeGreaterThan(400)
  expect(refusing).toEqual([])
}, 120_000)

/** Those that are properties: a method that is left out is left out. */
function optionalMembers(node: ts.Node): { name: string; type: ts.TypeNode }[] {
  const found: { name: string; type: ts.TypeNode }[] = []
  const members = ts.isInterfaceDeclaration(node)
    ? node.members
    : literalsOf(node).flatMap(({ members }) => [...members])
  for (const member of members)
    if (ts.isPropertySignature(member) && member.questionToken && member.type)
      found.push({ name: member.name.getText(), type: member.type })
  return found
}

function literalsOf(node: ts.Node): ts.TypeLiteralNode[] {
  if (!ts.isTypeAliasDeclaration(node)) return []
  const found: ts.TypeLiteralNode[] = []
  const walk = (each: ts.Node): void => {
    if (ts.isTypeLiteralNode(each)) found.push(each)
    else ts.forEachChild(each, walk)
  }
  walk(node.type)
  return found
}

function takesUndefined(type: ts.Type): boolean {
  const parts = type.isUnion() ? type.types : [type]
  const flags = ts.TypeFlags.Undefined | ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.Never
  return parts.some((part) => (part.flags & flags) !== 0)
}
