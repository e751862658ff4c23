// Door of the timer files.
export * from './timer-checkpoint.ts';
export * from './timer-log.ts';
export * from './timer-metrics.ts';
export * from './timer-unit.ts';
export * from './timer-wheel.ts';
