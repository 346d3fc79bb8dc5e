/// <reference lib="esnext.disposable" preserve="true" />
export { type StoreCase, type StoreConformanceOptions, storeConformance } from '../src/core/store/conformance/suite.ts'
export { type VirtualClock, virtualClock } from '../src/core/time/virtual-clock.ts'
export { type MemoryHandler, type MemoryTransportOptions, memoryTransport, withCursor } from './memory.ts'
export { type Fault, type FaultPlan, faultInjection } from './testing/faults.ts'
