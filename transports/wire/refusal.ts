export { refusal } from '../../src/core/refusal.ts'
