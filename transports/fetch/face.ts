import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { FaceHost } from '../../src/core/call/face-host.ts'
import { readHeaders } from '../../src/core/call/header-map.ts'
import { nesting } from '../../src/core/call/nesting.ts'
import { checkOptions } from '../../src/core/options.ts'
import type { HttpOptions } from '../http/contract.ts'
import { standInFront } from '../http/engine/stock-fetch.ts'
import { ReplayBody } from '../http/replay-body.ts'
import { toFetchError } from './errors.ts'
import { FetchTransport } from './exchange.ts'
import { type FetchBinding, FetchOperations } from './operation.ts'
import { withRules } from './options.ts'
import { readArguments } from './request.ts'
import { handOut } from './response.ts'
import type { FaceOptions, PolywireFetch } from './types.ts'

const defaultReplayBytes = 1_048_576

/** What all faces made of one another share. */
interface Face {
  readonly host: FaceHost
  readonly operations: FetchOperations
  readonly replayBytes: number
  readonly close: () => Promise<void>
  isClosed?: true
}

/**
 * Makes a `fetch` whose calls go through the chain of a client.
 *
 * @param ownsClient - closing the face closes the client.
 */
export function makeFace(
  host: FaceHost,
  options: FaceOptions,
  wire: Pick<HttpOptions, 'http' | 'dispatcher'>,
  ownsClient: boolean,
): PolywireFetch {
  host.addFace('fetch', new FetchTransport(wire, options.deadlineHeader), handOut())
  const face: Face = {
    host,
    operations: new FetchOperations(options, (origin) => host.authOf(origin)),
    replayBytes: options.replayBytes ?? defaultReplayBytes,
    async close() {
      face.isClosed = true
      if (ownsClient) await host.close()
    },
  }
  return toFetch(face, {})
}

function toFetch(face: Face, defaults: CallOptions): PolywireFetch {
  checkOptions('with()', defaults, withRules)
  const run = (input: unknown, init?: unknown): Promise<Response> => call(face, defaults, input, init)
  standInFront(run)
  // Bun's has it.
  const { preconnect } = (globalThis.fetch ?? run) as { preconnect?: object }
  return Object.assign(run, preconnect && { preconnect }, {
    with: (options: CallOptions) => toFetch(face, { ...defaults, ...options }),
    close: face.close,
  }) as unknown as PolywireFetch
}

async function call(face: Face, defaults: CallOptions, first: unknown, init: unknown): Promise<Response> {
  if (face.isClosed) throw new TypeError('fetch failed', { cause: new Error('it was closed') })
  const isNested = nesting.isInside?.()
  const input = await readArguments(first, init, face.replayBytes)
  try {
    const operation = face.operations.of(input)
    const timeoutMs = defaults.timeoutMs ?? (operation.binding as FetchBinding).timeoutMs
    const headers = { ...readHeaders(defaults.headers), ...input.record }
    const retry = isNested ? false : defaults.retry
    const signal = input.signal ?? defaults.signal
    const options: CallOptions = { ...defaults, headers, signal, timeoutMs, retry }
    return (await face.host.run(operation, input, options)) as Response
  } catch (error) {
    if (input.body instanceof ReplayBody) input.body.cancel()
    throw toFetchError(error)
  }
}
