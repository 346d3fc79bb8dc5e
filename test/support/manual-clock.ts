export { type VirtualClock as ManualClock, virtualClock as manualClock } from '../../src/core/virtual-clock.ts'
