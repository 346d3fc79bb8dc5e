import {
  type Comment,
  type DeclarationReflection,
  type ProjectReflection,
  ReflectionKind,
  type SomeType,
} from 'typedoc'

/** One option, as the reference shows it. */
export interface Option {
  readonly name: string
  readonly type: string
  readonly unit: string
  /** Undefined where it is required. */
  readonly defaultValue: string | undefined
  readonly text: string
  /** What is missing for a user who reads of it. */
  readonly faults: readonly string[]
}

/** The options of one exported type, and what takes them. */
export interface OptionType {
  readonly name: string
  readonly module: string
  readonly takenBy: readonly string[]
  readonly members: readonly Option[]
}

const units: readonly (readonly [RegExp, string])[] = [
  [/Ms$/, 'ms'],
  [/Bytes$/, 'bytes'],
  [/Messages$|^(maxQueued|highWaterMark)$/, 'messages'],
  [/Attempts$/, 'attempts'],
  [/Operations$/, 'operations'],
  [/^failures$/, 'failures'],
  [/(Tokens|Cost)$/, 'tokens'],
  [/[wW]indow$/, 'messages'],
  [/^(deadline|expiresAt)$/, 'ms since 1970'],
  [/Code$/, 'close code'],
  [/^cursor$/, 'a number of the server'],
  [/^ratio$/, 'of 1'],
  [/^max(?:Concurrent|Queue)$/, 'calls'],
  [/^maxSends$/, 'sends'],
  [/^maxIdentities$/, 'identities'],
  [/^max$/, 'items'],
  [/^version$/, 'number'],
  [/^first$/, 'page number'],
  [/^prefetch$/, 'pages'],
  [/^limit$/, 'pages or items'],
]

/** By its name: options by rule, and the objects of the contract that users write themselves. */
const isOptions =
  /(Options|Spec|Policy|Init|Defaults|Style)$|^(Auth|Credential|BearerToken|Telemetry|MultipartFile|Codec|Store|WireAdapter|WireTraits)$/

/** Every exported type that is made of options: `…Options`, and `…Spec` of a builder. */
export function optionsOf(project: ProjectReflection): OptionType[] {
  const found: OptionType[] = []
  for (const module of project.children ?? [])
    for (const declared of module.children ?? []) {
      if (!isOptions.test(declared.name)) continue
      const members = (
        declared.children ??
        declared.type?.visit({ reflection: ({ declaration }) => declaration.children }) ??
        []
      )
        .filter((member) => member.kindOf(ReflectionKind.Property) || member.kindOf(ReflectionKind.Method))
        .map(optionOf)
      if (members.length === 0) continue
      found.push({ name: declared.name, module: module.name, takenBy: takersOf(module, declared), members })
    }
  return found
}

/** Functions of the module that name the type among their parameters. */
function takersOf(module: DeclarationReflection, declared: DeclarationReflection): string[] {
  const names = (module.children ?? []).filter((each) => {
    const signatures =
      each.signatures ?? each.type?.visit({ reflection: ({ declaration }) => declaration.signatures ?? [] }) ?? []
    return signatures.some(({ parameters = [] }) =>
      parameters.some(({ type }) => new RegExp(`\\b${declared.name}\\b`).test(String(type))),
    )
  })
  return names.map(({ name }) => name).filter((name) => /^[a-z]/.test(name))
}

function optionOf(member: DeclarationReflection): Option {
  const comment = commentOf(member)
  const type = String(member.type ?? member.signatures?.[0] ?? '').replace(/ \| undefined$|^undefined \| /g, '')
  const text = textOf(comment?.summary)
  const said = comment?.blockTags.find(({ tag }) => tag === '@defaultValue')
  const declared = said && textOf(said.content).replace(/^```\w* (.*) ```$/, '$1')
  const isOptional = member.flags.isOptional || /\bundefined\b/.test(String(member.type))
  const isNumber = hasNumber(member.type)
  const unit = isNumber ? (units.find(([name]) => name.test(member.name))?.[1] ?? unitIn(text)) : ''
  const faults: string[] = []
  if (text === '') faults.push('has no sentence in its TSDoc')
  if (isNumber && unit === '') faults.push('is a number without a unit')
  if (isOptional && declared === undefined && isValue(type)) faults.push('is optional, and has no @defaultValue')
  return { name: member.name, type, unit, defaultValue: isOptional ? (declared ?? 'none') : undefined, text, faults }
}

/** A number itself, not one that a function takes or gives. */
function hasNumber(type: SomeType | undefined): boolean {
  if (type?.type === 'union') return type.types.some(hasNumber)
  return type?.type === 'intrinsic' && type.name === 'number'
}

/** A comment stands on the property, on the function that it is, or on the signature of a method. */
function commentOf(member: DeclarationReflection): Comment | undefined {
  return (
    member.comment ??
    member.signatures?.[0]?.comment ??
    member.type?.visit({ reflection: ({ declaration }) => declaration.signatures?.[0]?.comment })
  )
}

function textOf(parts: Comment['summary'] | undefined): string {
  return (parts ?? [])
    .map(({ text }) => text)
    .join('')
    .replace(/\s+/g, ' ')
    .trim()
}

const unitIn = (text: string): string => /; (ms|bytes|seconds|messages|attempts|tokens)\b/.exec(text)?.[1] ?? ''

/** Made of numbers, flags and words alone: leaving it out means one of them, and a reader wants to know which. */
function isValue(type: string): boolean {
  return type !== '' && type.split(' | ').every((part) => /^(number|boolean|true|false|"[^"]*"|\d+)$/.test(part))
}

/** The page where each of them stands with type, unit and default. */
export function optionsPage(types: readonly OptionType[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replace(/</g, '&lt;')
  const code = (text: string) => (text === '' ? '' : `\`${text.replaceAll('|', '\\|').replaceAll('`', '')}\``)
  const sections = types.map(({ name, module, takenBy, members }) => {
    const takers = takenBy.length > 0 ? `, taken by ${takenBy.map((each) => `\`${each}\``).join(', ')}` : ''
    const rows = members.map(
      ({ name: option, type, unit, defaultValue, text }) =>
        `| \`${option}\` | ${code(type)} | ${unit} | ${defaultValue === undefined ? '*required*' : cell(defaultValue)} | ${cell(text)} |`,
    )
    return `## ${name}\n\nOf \`${module}\`${takers}.\n\n| option | type | unit | default | |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`
  })
  return `# All options\n\nMade from the sources by \`npm run docs\`.\n\n${sections.join('\n')}`
}

/** What a user could not find out about an option. */
export function findings(types: readonly OptionType[], handWritten: string): string[] {
  const found = types.flatMap(({ name, members }) =>
    members.flatMap((member) => [
      ...member.faults.map((fault) => `${name}.${member.name} ${fault}`),
      ...(new RegExp(`\\b${member.name}\\b`).test(handWritten)
        ? []
        : [`${name}.${member.name} is in no page of README and docs`]),
    ]),
  )
  return [...new Set(found)]
}
