/** What all five servers know. */
export interface Parcel {
  readonly id: number
  readonly status: string
}

const statuses = ['announced', 'in transit', 'delivered']

/** The same answer whatever the protocol. */
export function parcelOf(id: number): Parcel {
  return { id, status: statuses[id % statuses.length] ?? '' }
}
