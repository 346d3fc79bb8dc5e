/** A random UUID (RFC 9562 version 4), on insecure pages too, where `crypto.randomUUID` is missing. */
export function uuid(): string {
  if (crypto.randomUUID) return crypto.randomUUID()
  // Four random bits for each 0, two for the 8 of the variant.
  return '00000000-0000-4000-8000-000000000000'.replace(/[08]/g, (digit) => {
    const [random = 0] = crypto.getRandomValues(new Uint8Array(1))
    return (digit === '0' ? random & 15 : 8 | (random & 3)).toString(16)
  })
}
