/**
 * The life of a stream and of a socket link: `idle` before the first use, `connecting` while it opens, `open`,
 * `waiting` between two attempts, `suspended` while offline or frozen, `closed` for good.
 */
export type StreamState = 'idle' | 'connecting' | 'open' | 'waiting' | 'suspended' | 'closed'

/**
 * What the server's cursors allow to promise over a reconnect: `exact` (nothing lost, nothing twice), `at-least-once`
 * (nothing lost, perhaps repeated), `unknown` (the server gives no cursor, so the client does not pretend).
 */
export type Continuity = 'exact' | 'at-least-once' | 'unknown'
