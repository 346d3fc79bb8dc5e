/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes, and of the square roots of eight. */
const constants = /* @__PURE__ */ makeConstants()

function makeConstants(): { readonly rounds: Uint32Array; readonly start: Uint32Array } {
  const primes: number[] = []
  for (let each = 2; primes.length < 64; each++) if (primes.every((prime) => each % prime !== 0)) primes.push(each)
  const fraction = (root: number): number => ((root % 1) * 2 ** 32) | 0
  return {
    rounds: Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime))),
    start: Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime))),
  }
}

/** SHA-256 piece by piece (FIPS 180-4), which Web Crypto cannot: it takes a whole only. */
export class Sha256 {
  readonly #state = constants.start.slice()
  readonly #words = new Uint32Array(64)
  readonly #block = new Uint8Array(64)
  #filled = 0
  #length = 0

  update(bytes: Uint8Array): void {
    this.#length += bytes.byteLength
    for (let at = 0; at < bytes.byteLength; ) {
      const piece = bytes.subarray(at, at + 64 - this.#filled)
      this.#block.set(piece, this.#filled)
      this.#filled += piece.byteLength
      at += piece.byteLength
      if (this.#filled === 64) this.#mix()
    }
  }

  digest(): Uint8Array {
    const bits = this.#length * 8
    this.update(Uint8Array.of(0x80))
    if (this.#filled > 56) this.update(new Uint8Array(64 - this.#filled))
    this.update(new Uint8Array(56 - this.#filled))
    const length = new DataView(new ArrayBuffer(8))
    length.setUint32(0, Math.floor(bits / 2 ** 32))
    length.setUint32(4, bits >>> 0)
    this.update(new Uint8Array(length.buffer))
    const result = new DataView(new ArrayBuffer(32))
    this.#state.forEach((word, index) => {
      result.setUint32(index * 4, word)
    })
    return new Uint8Array(result.buffer)
  }

  #mix(): void {
    this.#filled = 0
    const words = this.#words
    const view = new DataView(this.#block.buffer)
    for (let at = 0; at < 16; at++) words[at] = view.getUint32(at * 4)
    for (let at = 16; at < 64; at++) {
      const [early, late] = [words[at - 15] as number, words[at - 2] as number]
      const first = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)
      const second = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10)
      words[at] = ((words[at - 16] as number) + first + (words[at - 7] as number) + second) | 0
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#state
    for (let at = 0; at < 64; at++) {
      const chosen = (e & f) ^ (~e & g)
      const round = (constants.rounds[at] as number) + (words[at] as number)
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + chosen + round) | 0
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + one) | 0
      d = c
      c = b
      b = a
      a = (one + two) | 0
    }
    const mixed = [a, b, c, d, e, f, g, h]
    for (let at = 0; at < 8; at++) this.#state[at] = (this.#state[at] as number) + (mixed[at] as number)
  }
}

function turn(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by))
}
