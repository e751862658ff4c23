// Door of the broker's statistics.
export * from './broker-stats.ts';
export * from './rate-window.ts';
