// Door of the repository: its layout, the marks of who is at work, retention.
export * from './repository.ts';
export * from './retention.ts';
export * from './work-marks.ts';
