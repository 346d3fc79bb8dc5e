/** What a server asks for by Digest: RFC 7616 §3.3. */
export interface Challenge {
  readonly realm: string
  readonly nonce: string
  readonly opaque: string | undefined
  /** As the server wrote it; `MD5` where it names none. */
  readonly algorithm: string
  readonly qop: 'auth' | 'auth-int' | undefined
  /** The nonce was right once, and has had its time. */
  readonly isStale: boolean
  readonly isUserHashed: boolean
}

/** What we can compute, in the order in which it is chosen where a server offers several. */
const known = ['SHA-256-SESS', 'SHA-256', 'MD5-SESS', 'MD5']

/** The first challenge of a `www-authenticate` that can be answered; servers put the best first, and may be wrong. */
export function readChallenge(header: string, preferInt: boolean): Challenge | undefined {
  const challenges = splitChallenges(header)
    .filter(({ scheme }) => scheme.toLowerCase() === 'digest')
    .map(({ parameters }) => toChallenge(parameters, preferInt))
    .filter((challenge) => challenge !== undefined)
  const rank = ({ algorithm }: Challenge): number => known.indexOf(algorithm.toUpperCase())
  return challenges.filter((each) => rank(each) >= 0).sort((one, other) => rank(one) - rank(other))[0]
}

function toChallenge(parameters: ReadonlyMap<string, string>, preferInt: boolean): Challenge | undefined {
  const realm = parameters.get('realm')
  const nonce = parameters.get('nonce')
  if (realm === undefined || nonce === undefined) return undefined
  const offered = parameters
    .get('qop')
    ?.split(',')
    .map((each) => each.trim().toLowerCase())
  const order = preferInt ? (['auth-int', 'auth'] as const) : (['auth', 'auth-int'] as const)
  const qop = order.find((each) => offered?.includes(each))
  // Offered, but none that is known: there is no right answer.
  if (offered && !qop) return undefined
  return {
    realm,
    nonce,
    qop,
    opaque: parameters.get('opaque'),
    algorithm: parameters.get('algorithm') ?? 'MD5',
    isStale: parameters.get('stale')?.toLowerCase() === 'true',
    isUserHashed: parameters.get('userhash')?.toLowerCase() === 'true',
  }
}

/** Several challenges stand in one header, or in several that were joined: a word and a blank begin the next. */
function splitChallenges(header: string): { scheme: string; parameters: Map<string, string> }[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = []
  const token =
    /[\s,]*(?:([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))|([\w!#$%&'*+.^`|~-]+)(?=\s|,|$))/y
  for (let match = token.exec(header); match; match = token.exec(header)) {
    const [whole, name, quoted, plain, scheme] = match
    if (whole === '') break
    if (scheme !== undefined) found.push({ scheme, parameters: new Map() })
    else if (name !== undefined)
      found.at(-1)?.parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '')
  }
  return found
}

/** The parameters of a header without a scheme: `authentication-info`. */
export function readParameters(header: string): ReadonlyMap<string, string> {
  return splitChallenges(`info ${header}`)[0]?.parameters ?? new Map()
}
