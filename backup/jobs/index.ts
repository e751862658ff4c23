// Door of the job queue: one port, two adapters.
export * from './bullmq-jobs.ts';
export * from './port.ts';
export * from './sqlite-jobs.ts';
