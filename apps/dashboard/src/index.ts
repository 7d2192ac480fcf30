export { serveDashboard } from './serve.ts'
export { type RunningDashboard, startDashboard, type StartOptions } from './start.ts'
export { tunnelHint } from './tunnel-hint.ts'
