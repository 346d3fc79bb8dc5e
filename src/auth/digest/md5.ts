/** What WebCrypto leaves out, and servers with Digest still ask for (RFC 1321). */
export function md5(bytes: Uint8Array): Uint8Array {
  const length = bytes.byteLength
  const blocks = new DataView(new ArrayBuffer((((length + 8) >> 6) + 1) * 64))
  for (let at = 0; at < length; at++) blocks.setUint8(at, bytes[at] as number)
  blocks.setUint8(length, 0x80)
  blocks.setUint32(blocks.byteLength - 8, length * 8, true)
  blocks.setUint32(blocks.byteLength - 4, Math.floor(length / 2 ** 29), true)
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const
  let [a, b, c, d]: readonly number[] = state as readonly number[]
  for (let block = 0; block < blocks.byteLength; block += 64) {
    const before = [a, b, c, d] as number[]
    for (let step = 0; step < 64; step++) {
      const round = step >> 4
      const [x, y, z] = [b, c, d] as [number, number, number]
      const mixed = [(x & y) | (~x & z), (x & z) | (y & ~z), x ^ y ^ z, y ^ (x | ~z)][round] as number
      const word = [step, 5 * step + 1, 3 * step + 5, 7 * step][round] as number
      const constant = Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1)))
      const sum = ((a as number) + mixed + constant + blocks.getUint32(block + (word & 15) * 4, true)) | 0
      const shift = shifts[round * 4 + (step & 3)] as number
      ;[a, d, c, b] = [d, c, b, (x + ((sum << shift) | (sum >>> (32 - shift)))) | 0]
    }
    ;[a, b, c, d] = [a, b, c, d].map((each, at) => ((each as number) + (before[at] as number)) | 0)
  }
  const result = new DataView(new ArrayBuffer(16))
  for (const [at, word] of [a, b, c, d].entries()) result.setUint32(at * 4, word as number, true)
  return new Uint8Array(result.buffer)
}

const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
