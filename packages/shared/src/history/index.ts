export { findReports, type FoundReport, readReport, writeReport } from './history.ts'
export { type Outcome, outcomes, type RunReport, runReportSchema } from './report.ts'
export { unsoundRuns } from './unsound.ts'
