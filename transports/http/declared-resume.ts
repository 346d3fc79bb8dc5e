import type { OperationInfo, ResumeSpec } from '../../src/core/call/operation.ts'
import type { RequestInput } from './input.ts'

/**
 * A declared `resume` of an operation over HTTP: `apply` changes the input as the caller wrote it, which is taken apart
 * again; it was validated before.
 */
export function declared(
  resume: ResumeSpec,
  encodeInput: NonNullable<OperationInfo['encodeInput']>,
): Pick<OperationInfo, 'encodeInput' | 'resume'> {
  const written = new WeakMap<object, unknown>()
  const remember = (parts: RequestInput, input: unknown) => {
    written.set(parts, input)
    return parts
  }
  return {
    encodeInput(input, check) {
      const parts = encodeInput(input, check) as RequestInput | Promise<RequestInput>
      return parts instanceof Promise ? parts.then((done) => remember(done, input)) : remember(parts, input)
    },
    resume: {
      ...resume,
      apply: (parts: object, after) =>
        encodeInput(resume.apply(written.get(parts) ?? {}, after), (_schema, value) => value),
    },
  }
}
