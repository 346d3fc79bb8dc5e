import type { NoInput, ServerStream } from '../../src/core/call/call-types.ts'
import { bindHealth, defaultProbeMs, type HealthCheck } from '../../src/core/call/health.ts'
import { defineOperation, type Operation, type OperationInfo, operationInfo } from '../../src/core/call/operation.ts'
import { aboveZero, flag, type RulesOf, text, wrongOption } from '../../src/core/options.ts'
import { type GrpcStreams, rpcOperation } from './operation.ts'
import type { DescMessage, DescMethod, DescService } from './peer-protobuf.ts'
import { healthDescriptor } from './peers.ts'
import { grpcStreams } from './streams.ts'

/** How a server is asked for its health. */
export interface GrpcHealthSpec<Via extends string = string> {
  /** The key of its transport. @defaultValue 'grpc-web' */
  readonly via?: Via | undefined
  /** Of `health()`: how long an answer is waited for where the call says nothing; ms. @defaultValue 2_000 */
  readonly timeoutMs?: number | undefined
  /** It carries the client's credential: a token that cannot be had says nothing of the server. @defaultValue false */
  readonly auth?: boolean | undefined
}

/** What a server says of its health as long as it is watched. */
export interface HealthNews {
  /** It serves. */
  readonly isHealthy: boolean
  readonly status: 'pass' | 'fail' | 'unknown'
}

const rules: RulesOf<GrpcHealthSpec> = { via: text, timeoutMs: aboveZero, auth: flag }
/** By the numbers of ServingStatus: UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN. */
const statuses: readonly HealthNews['status'][] = ['unknown', 'pass', 'fail', 'unknown']

/**
 * Declares a probe by the standard health service (`grpc.health.v1.Health/Check`), of which nothing need be generated. It
 * is never sent again, since it is a question about now, and its answer is one type over all protocols.
 *
 * @param name - the full name of a service: `acme.shop.v1.ShopService`. @defaultValue '', the server as a whole
 * @throws {TypeError} where the declaration itself is wrong.
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 * @example
 * const { isHealthy, status, latencyMs } = await client.call(health('acme.shop.v1.ShopService'))
 */
export function health<const Via extends string = 'grpc-web'>(
  name = '',
  spec: GrpcHealthSpec<Via> = {},
): Operation<Via, HealthCheck> {
  const probe = infoOf('health', 'check', name, spec)
  return defineOperation({
    ...probe,
    makeCallable: bindHealth(spec.timeoutMs ?? defaultProbeMs, ({ callable }) => {
      const call = callable?.(probe) as (input: unknown, options: object) => Promise<HealthNews>
      return async (input, options) => ({ status: (await call(input, options)).status })
    }),
  })
}

/**
 * Declares a watch by the standard health service (`grpc.health.v1.Health/Watch`): how the server is, and each change of
 * that. A stream that drops is opened again, and begins with how the server is then.
 *
 * @param name - the full name of a service. @defaultValue '', the server as a whole
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * for await (const { isHealthy } of client.call(watchHealth('acme.shop.v1.ShopService'))) show(isHealthy)
 */
export function watchHealth<const Via extends string = 'grpc-web'>(
  name = '',
  spec: GrpcHealthSpec<Via> = {},
): Operation<Via, ServerStream<NoInput, HealthNews>> {
  return defineOperation(infoOf('watchHealth', 'watch', name, spec, grpcStreams()))
}

function infoOf(
  who: string,
  which: 'check' | 'watch',
  service: string,
  spec: GrpcHealthSpec,
  streams?: GrpcStreams,
): OperationInfo {
  const wrong = typeof service === 'string' ? wrongOption(spec, rules) : 'the first argument is the name of a service'
  if (wrong) throw new TypeError(`${who}(…): ${wrong}`)
  const { via, auth = false } = spec
  const own = { idempotent: true, ...(via !== undefined && { via }), ...(!auth && { auth }) }
  // Anew it begins with how the server is.
  const resume = { cursor: () => undefined, apply: (input: unknown) => input }
  const more = streams ? { resume } : ({ retry: false } as const)
  const method = new HealthMethod(which) as Pick<HealthMethod, keyof HealthMethod> as DescMethod
  const info = operationInfo(rpcOperation(method, { ...own, ...more }, streams)) as OperationInfo
  return {
    ...info,
    async encodeInput() {
      await healthDescriptor.get({ operation: info })
      return { service }
    },
    decodeOutput(message): HealthNews {
      const status = statuses[(message as { readonly status: number }).status] ?? 'unknown'
      return { status, isHealthy: status === 'pass' }
    },
  }
}

/** A method of the service, whose messages are described when the first call has loaded what describes them. */
class HealthMethod {
  readonly kind = 'rpc'
  readonly parent = { typeName: 'grpc.health.v1.Health' } as DescService
  readonly name: string
  readonly localName: string
  readonly methodKind: 'unary' | 'server_streaming'
  /** As the .proto says it: unknown. */
  readonly idempotency = 0

  constructor(which: 'check' | 'watch') {
    this.localName = which
    this.name = which === 'check' ? 'Check' : 'Watch'
    this.methodKind = which === 'check' ? 'unary' : 'server_streaming'
  }

  get input(): DescMessage {
    return this.#described.input
  }

  get output(): DescMessage {
    return this.#described.output
  }

  get #described(): DescMethod {
    const { healthService } = healthDescriptor.loaded as NonNullable<typeof healthDescriptor.loaded>
    return (healthService as unknown as { method: Record<string, DescMethod> }).method[this.localName] as DescMethod
  }
}
