import buildConnector from 'undici/lib/core/connect.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import type { Dispatcher } from './dispatcher.ts'

/** An undici Agent, in what is used of it. */
export interface TlsAgent extends Dispatcher {
  /** Resolves when what runs is over; takes nothing more. */
  close(): Promise<void>
}

/**
 * Connections by one certificate, with a cache of TLS sessions of their own: a session that was begun by another one would
 * go on as that one.
 *
 * @param check - what is wrong with the certificate by now; asked before each connection.
 */
export function makeTlsAgent(tls: object, check: () => Error | undefined): TlsAgent {
  const connect = buildConnector({ ...tls, timeout: 10_000, allowH2: false })
  return new Agent({
    // Polywire's own timeouts bound calls, and streams may be silent for long.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => {
      const wrong = check()
      if (wrong) callback(wrong, null)
      else
        connect(options, (...result) => {
          // An alert comes before the end of the connection, by which undici would name the failure.
          const socket = result[1]
          socket?.once('error', (error: Error) => socket.destroy(error))
          callback(...result)
        })
    },
  }) as unknown as TlsAgent
}
