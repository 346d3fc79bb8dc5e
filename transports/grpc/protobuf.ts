/** One field as it stands on the wire: a number, or bytes where it is a string, bytes or a message. */
export interface Field {
  readonly number: number
  readonly value: bigint | Uint8Array
}

/** Reads the fields of one protobuf message; undefined where the bytes are none. Enough for google.rpc.Status. */
export function readFields(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = []
  const reader = new Reader(bytes)
  while (reader.isOpen) {
    const tag = reader.varint()
    if (tag === undefined) return undefined
    const value = reader.value(Number(tag & 7n))
    if (value === undefined || tag < 8n) return undefined
    fields.push({ number: Number(tag >> 3n), value })
  }
  return fields
}

/** A string field; empty for any other. */
export function text(value: Field['value'] | undefined): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : ''
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isOpen(): boolean {
    return this.#at < this.#bytes.length
  }

  varint(): bigint | undefined {
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return undefined
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    return undefined
  }

  value(wireType: number): bigint | Uint8Array | undefined {
    if (wireType === 0) return this.varint()
    if (wireType === 1) return this.#take(8)
    if (wireType === 5) return this.#take(4)
    if (wireType !== 2) return undefined
    const length = this.varint()
    return length === undefined || length > BigInt(this.#bytes.length) ? undefined : this.#take(Number(length))
  }

  #take(length: number): Uint8Array | undefined {
    const end = this.#at + length
    if (end > this.#bytes.length) return undefined
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}
