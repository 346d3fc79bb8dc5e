import { isObject } from '../../src/core/tag.ts'
/** A query or a form as what it was made of, all of it text: `a=1&a=2` and `a[]=1` are lists, `a[b]=c` is nested. */
export function readQuery(pairs: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const query: Tree = Object.create(null)
  for (const [key, value] of pairs) {
    const [, first = key, rest = ''] = /^([^[]+)((?:\[[^\]]*\])+)$/.exec(key) ?? []
    put(query, [first, ...[...rest.matchAll(/\[([^\]]*)\]/g)].map(([, name = '']) => name)], value)
  }
  return lists(query) as Record<string, unknown>
}

interface Tree {
  [name: string]: unknown
}

/** Not yet a list: what its keys say is known in the end. */
const isTree = (value: unknown): value is Tree => isObject(value) && Object.getPrototypeOf(value) === null

function put(tree: Tree, [name = '', ...deeper]: readonly string[], value: unknown): void {
  const key = name === '' ? String(Object.keys(tree).length) : name
  const there = tree[key]
  if (deeper.length > 0) {
    const inner: Tree = isTree(there) ? there : Object.create(null)
    tree[key] = inner
    put(inner, deeper, value)
  } else if (there === undefined) tree[key] = value
  else tree[key] = Array.isArray(there) ? [...there, value] : [there, value]
}

function lists(value: unknown): unknown {
  if (!isTree(value)) return value
  const entries = Object.entries(value).map(([name, member]) => [name, lists(member)] as const)
  const isList = entries.length > 0 && entries.every(([name], index) => name === String(index))
  return isList ? entries.map(([, member]) => member) : Object.fromEntries(entries)
}

/** The body of a request, by its content type; undefined where there is none. */
export async function readBody(request: Request): Promise<unknown> {
  if (!request.body) return undefined
  const copy = request.clone()
  const type = copy.headers.get('content-type')?.toLowerCase() ?? ''
  if (type.startsWith('multipart/form-data')) return readQuery(await copy.formData())
  const coding = copy.headers.get('content-encoding')
  const isCompressed = coding === 'gzip' || coding === 'deflate'
  const plain = isCompressed ? new Response(copy.body?.pipeThrough(new DecompressionStream(coding))) : copy
  const bytes = new Uint8Array(await plain.arrayBuffer())
  if (bytes.length === 0) return undefined
  if (!/json|^text\/|urlencoded|xml/.test(type)) return bytes
  const text = new TextDecoder().decode(bytes)
  if (type.includes('urlencoded')) return readQuery(new URLSearchParams(text))
  return /json(?:;|$|\s)/.test(type) ? JSON.parse(text) : text
}

/** Members side by side: what the names of a flat input are read from. */
export function isMembers(value: unknown): value is object {
  return isObject(value) && Object.getPrototypeOf(value) === Object.prototype
}
