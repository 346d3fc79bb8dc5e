import { idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import type { Declaration, OperationInfo, ResumeSpec } from '../../src/core/call/operation.ts'
import { anything, callable, credentialSource, has, oneOf, orFalse, takes } from '../../src/core/options.ts'
import { retryOption } from '../../src/core/retry/options.ts'
import { isObject } from '../../src/core/tag.ts'

/** What makes a credential, or `false` for none. */
export const authRule = /* @__PURE__ */ orFalse(credentialSource)

/** Profiles whose key stands among the headers: elsewhere the body is sent as it is. */
export const headerKeyRule = /* @__PURE__ */ oneOf('idempotency-key', 'structured', 'stripe', 'paypal', false)

/** The name of a profile, or `false` for no keys. */
export const idempotencyRule = /* @__PURE__ */ oneOf(false, .../* @__PURE__ */ Object.keys(idempotencyProfiles))

/** The words for what {@link isSchema} takes. */
export const schemaWords = 'a schema, such as type<T>()'

/** Anything of Standard Schema. */
export function isSchema(value: unknown): boolean {
  return (isObject(value) || typeof value === 'function') && '~standard' in value
}

/** A schema where an operation may declare one. */
export const schemaRule = /* @__PURE__ */ takes(schemaWords, isSchema)

/** What every operation may say, whatever its protocol. */
export const operationRules = {
  via: /* @__PURE__ */ takes('the key of a transport', (value) => typeof value === 'string' && value !== ''),
  retry: retryOption,
  auth: /* @__PURE__ */ oneOf(false),
  validate: /* @__PURE__ */ oneOf('warn', false),
}

/** The members of `from` that say something. */
export function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]]))) as Pick<
    T,
    K
  >
}

/** Whether a value is what `continueWith()` or `stopWith()` makes. */
export const isDeclaration = /* @__PURE__ */ has('declare') as (value: unknown) => value is Declaration

/** What `stopWith()` makes. */
export const stopRule = /* @__PURE__ */ takes('what stopWith() makes', isDeclaration)

/** How a stream goes on. */
export const resumeRule = /* @__PURE__ */ takes(
  '{ cursor, apply }, or what continueWith() makes',
  (value) => isDeclaration(value) || ['cursor', 'apply'].every((name) => name in Object(value)),
  { cursor: callable, apply: callable, hold: anything, declare: callable },
)

/** The run-time half of a `resume` with functions of its own; nothing for any other. */
export function resumeOf(resume: unknown): { readonly resume?: ResumeSpec } {
  return has('apply')(resume) ? { resume: resume as ResumeSpec } : {}
}

/** Lets what stands in the place of options change the operation. */
export function declare(
  info: OperationInfo,
  spec: { readonly resume?: unknown; readonly stop?: unknown },
): OperationInfo {
  const { resume, stop } = spec
  const declared = [resume, (resume as Partial<ResumeSpec> | undefined)?.hold, stop]
  return declared.reduce<OperationInfo>((made, each) => (isDeclaration(each) ? each.declare(made) : made), info)
}
