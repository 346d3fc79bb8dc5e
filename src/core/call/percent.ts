/** The text behind percent-encoding; what is no UTF-8 so encoded stays as it came, since others write it, too. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
