import type { Call } from '../core/call/call.ts'
import type { Telemetry } from '../core/call/telemetry.ts'
import { isAnyCallError } from '../core/errors/error.ts'
import { refusal } from '../core/errors/refusal.ts'
import { checkOptions, object, oneOf, type RulesOf } from '../core/options.ts'
import { type CallEvent, eventTelemetry } from './events.ts'

/** Levels as pino and its kin have them; `silent` logs nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** A logger that takes an object and a message: pino, bunyan, Fastify's `request.log`, roarr. */
export interface LoggerLike {
  readonly level?: string
  trace(fields: object, message: string): void
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  isLevelEnabled?(level: string): boolean
}

/** At which level what is logged. */
export interface LogOptions {
  /**
   * Level of each event by its type, and of `failed`: calls that end with an error.
   *
   * @defaultValue `call:end` debug, `failed` warn, `retry` `resume` `reconnect` `route` `continued` `repeated` info, `gap`
   * `warning` `deprecation` `sunset` warn, `refresh` `resumed` debug, the rest trace
   */
  readonly levels?: { readonly [Type in CallEvent['type'] | 'failed']?: LogLevel | undefined } | undefined
}

const defaults: Readonly<Record<string, LogLevel>> = {
  'call:end': 'debug',
  failed: 'warn',
  retry: 'info',
  resume: 'info',
  reconnect: 'info',
  route: 'info',
  continued: 'info',
  repeated: 'info',
  gap: 'warn',
  warning: 'warn',
  deprecation: 'warn',
  sunset: 'warn',
  refresh: 'debug',
  resumed: 'debug',
}

const rules: RulesOf<LogOptions> = { levels: /* @__PURE__ */ object("an object such as { 'call:end': 'info' }") }
const level = /* @__PURE__ */ oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent')

/**
 * Writes what happens to calls into a logger: names, figures and codes, never an input, a header's value or a server's text.
 *
 * @throws {CallError} `invalid_argument` where it is no logger, or a level is none.
 * @example
 * createClient({ transports, telemetry: logTo(pino()) })
 */
export function logTo(logger: LoggerLike, options: LogOptions = {}): Telemetry {
  checkOptions('logTo()', options, rules)
  if (typeof logger?.warn !== 'function' || typeof logger.debug !== 'function')
    throw refusal('logTo() takes a logger with trace, debug, info, warn and error, such as pino()', undefined)
  const levels: Record<string, LogLevel> = { ...defaults }
  for (const [type, value] of Object.entries(options.levels ?? {})) {
    if (value === undefined) continue
    if (!level.fits(value)) throw refusal(`logTo(): levels.${type} takes ${level.takes}`, undefined)
    levels[type] = value
  }
  const levelOf = (type: string): LogLevel => levels[type] ?? 'trace'
  const isOn = (type: string): boolean => {
    const wanted = levelOf(type)
    return wanted !== 'silent' && (logger.isLevelEnabled?.(wanted) ?? true)
  }
  return eventTelemetry(
    (event) => {
      const wanted = levelOf(event.type === 'call:end' && isFailure(event) ? 'failed' : event.type)
      if (wanted !== 'silent') logger[wanted](fieldsOf(event), messageOf(event))
    },
    (type) => isOn(type) || (type === 'call:end' && isOn('failed')),
  )
}

type CallEnd = Extract<CallEvent, { type: 'call:end' }>

/** The caller's own abort is none. */
function isFailure({ error, call }: CallEnd): boolean {
  const isOwn = call.scope.isAborted && error === call.scope.reason && !isAnyCallError(error)
  return error !== undefined && !isOwn
}

function messageOf(event: CallEvent): string {
  const { type } = event
  if (type === 'warning') return event.message
  const name = 'call' in event && event.call ? event.call.operation.name : (event as { readonly via?: string }).via
  if (type === 'call:end')
    return `${name} ${event.error === undefined ? 'ok' : isFailure(event) ? 'failed' : 'aborted'}`
  return `${name} ${type}`
}

/** Members of an event that may be logged as they are. */
const plain = [
  'attempt',
  'attempts',
  'status',
  'waitMs',
  'via',
  'from',
  'to',
  'cursor',
  'repeated',
  'state',
  'gap',
  'at',
] as const

function fieldsOf(event: CallEvent): object {
  const fields: Record<string, unknown> = { event: event.type }
  const { call, durationMs, error } = event as { call?: Call; durationMs?: number; error?: unknown }
  if (call) Object.assign(fields, nameOf(call))
  for (const name of plain) {
    const value = (event as Partial<Record<string, unknown>>)[name]
    if (value !== undefined) fields[name] = value
  }
  if (durationMs !== undefined) fields.durationMs = Math.round(durationMs * 100) / 100
  if (error !== undefined) fields.error = errorOf(error)
  return fields
}

function nameOf({ operation, headers }: Call): object {
  const { name, protocol, via } = operation
  const requestId = headers['x-request-id']
  return { operation: name, protocol, via, ...(requestId !== undefined && { requestId }) }
}

/** The safe half of a CallError; of anything else its name, since nobody knows what its message holds. */
function errorOf(error: unknown): unknown {
  if (isAnyCallError(error)) return (error as { toJSON(): unknown }).toJSON()
  return { name: error instanceof Error ? error.name : typeof error }
}
