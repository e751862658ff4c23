// Door of steps: the loop of an operation and what it runs.
export { flipTo } from './after.ts';
export { driveOperation, resultOf } from './drive.ts';
export { gatherStatement } from './failover.ts';
export { Run, type RunTools, type StepOutcome } from './run.ts';
