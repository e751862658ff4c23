// Door of the backup process: what a daemon starts for each scheduled run.
export type { LatencyCount, PutLatencyProbe } from './put-budget.ts';
export { type ChildRequest, runInChild } from './run-in-child.ts';
export { type ScheduledRun, type ScheduledRunResult, scheduledRun } from './scheduled-run.ts';
