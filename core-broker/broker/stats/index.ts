// Door of the broker's statistics.
export * from './broker-stats.ts';
export * from './put-times.ts';
export * from './stats-item.ts';
export * from './throughput.ts';
