import type { Call } from '../../src/core/call/call.ts'
import type { CallOptions } from '../../src/core/call/call-options.ts'

/** Told in bytes as they move. */
export type ProgressReport = (transferredBytes: number, totalBytes?: number) => void

/**
 * The caller's progress listener as a wire may call it; undefined where there is none.
 *
 * What it throws is reported and goes no further: inside an engine it would break the exchange.
 */
export function progressReport(
  call: Call,
  name: 'onUploadProgress' | 'onDownloadProgress',
): ProgressReport | undefined {
  const listener: CallOptions[typeof name] = call.options[name]
  if (!listener) return undefined
  return (transferredBytes, totalBytes) => {
    try {
      listener(totalBytes === undefined ? { transferredBytes } : { transferredBytes, totalBytes })
    } catch {
      const message = `${call.operation.name}: ${name} threw`
      call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
    }
  }
}
