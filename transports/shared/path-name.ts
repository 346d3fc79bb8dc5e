/** Numbers, UUIDs, long hexadecimals, and long tokens that hold a digit: what names one thing among many. */
const id = /^(?:\d+|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}|[\da-f]{16,}|(?=.*\d)[\w~-]{20,})$/i

/** A path as errors, logs and budgets name it where nobody has declared a template: `{n}` for ids. */
export function nameOfPath(path: string): string {
  const parts = path.split('/').map((part) => (id.test(part) ? '{n}' : part))
  return parts.join('/')
}
