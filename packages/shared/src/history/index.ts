export { findReports, type FoundReport, newestRun, readReport, writeReport } from './history.ts'
export { type Outcome, outcomes, type RunReport, runReportSchema } from './report.ts'
export { runsUnderWay } from './under-way.ts'
export { unsoundRuns } from './unsound.ts'
