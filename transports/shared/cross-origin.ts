import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders } from '../../src/core/call/header-map.ts'
import { readHeaders } from '../../src/core/call/header-map.ts'
import { isCrossOrigin } from './base-url.ts'

/**
 * Leaves out of a request what would only force a preflight; undefined where no page of another origin calls.
 *
 * @param headers - all that would be sent, names in lower case.
 * @param own - headers that the operation's input names.
 */
export type CrossOriginFilter = (
  call: Call,
  headers: Readonly<Record<string, string>>,
  own?: Readonly<Record<string, unknown>>,
) => Record<string, string>

/** What a transport says of the requests that a page of another origin makes. */
export interface CrossOriginRule {
  /** For the warning: `restTransport`. */
  readonly factory: string
  readonly origin: string
  /** Sent whatever it costs: the protocol's own, and what the transport's `headers` name. */
  readonly always: readonly string[]
  /** What the server allows beside that. */
  readonly crossOriginHeaders: readonly string[] | undefined
}

/**
 * The one rule for headers across origins: a server sees what the protocol needs, what the user named (transport,
 * operation, call, `crossOriginHeaders`), the credential, and a key that it is known to honour. What else interceptors
 * added is left out, since a preflight that does not allow it blocks the whole call; telemetry hears of each such name
 * once. Keys that nobody promised to honour are left out without a word.
 */
export function crossOriginFilter(rule: CrossOriginRule): CrossOriginFilter | undefined {
  if (!isCrossOrigin(rule.origin)) return undefined
  const known = new Set([...rule.always, ...(rule.crossOriginHeaders ?? [])].map(lower))
  const warned = new Set<string>()
  return (call, headers, own = none) => {
    const named = new Set(
      [readHeaders(call.options.headers), own, call.credential?.headers ?? none].flatMap((each) =>
        Object.keys(each).map(lower),
      ),
    )
    const kept: Record<string, string> = {}
    for (const name in headers) {
      const value = headers[name] as string
      // A structured key is escaped.
      const isKey = call.idempotencyKey !== undefined && value.replace(/\\(.)/g, '$1').includes(call.idempotencyKey)
      if (known.has(name) || named.has(name) || (isKey && call.isKeyHonoured)) kept[name] = value
      else if (!isKey && !warned.has(name)) {
        warned.add(name)
        warn(call, name, rule.factory)
      }
    }
    return kept
  }
}

const none: CallHeaders = Object.freeze({})

function warn(call: Call, name: string, factory: string): void {
  const message = `${call.operation.name}: the header '${name}' is left out across origins; where the server allows it: ${factory}({ crossOriginHeaders: ['${name}'] })`
  call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
}

function lower(name: string): string {
  return name.toLowerCase()
}
