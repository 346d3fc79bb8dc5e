export { type VirtualClock as ManualClock, virtualClock as manualClock } from '../../src/core/time/virtual-clock.ts'
