/** An entity tag (RFC 9110 §8.8.3), as the server wrote it. */
export interface EntityTag {
  /** As it goes on the wire again, without `W/`: its quotes belong to it. */
  readonly opaque: string
  /** It tells equal enough representations, not equal bytes: it holds no write back. */
  readonly isWeak: boolean
}

/** Visible characters and obs-text; some servers write spaces, too, which are none of the standard and harm nobody. */
const quoted = /^(W\/)?("[\x20\x21\x23-\x7e\x80-\xff]*")$/i
/** Without quotes: out of the standard, and compared as a text by whoever writes so. */
const bare = /^[\x21\x23-\x2b\x2d-\x7e\x80-\xff]+$/

/**
 * Reads one entity tag; undefined where it is none, or several.
 *
 * @param isLenient - one without quotes is taken as it stands: from a header, where it is the server's own word.
 */
export function parseEntityTag(text: string, isLenient = false): EntityTag | undefined {
  const trimmed = text.trim()
  const found = quoted.exec(trimmed)
  if (found) return { opaque: found[2] as string, isWeak: found[1] !== undefined }
  if (!isLenient || !bare.test(trimmed) || trimmed === '*' || /^W\//i.test(trimmed)) return undefined
  return { opaque: trimmed, isWeak: false }
}

/** As it goes on the wire. */
export function writeEntityTag({ opaque, isWeak }: EntityTag): string {
  return isWeak ? `W/${opaque}` : opaque
}
