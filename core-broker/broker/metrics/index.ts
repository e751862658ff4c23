// Door of the broker's metrics.
export * from './labelled.ts';
export * from './totals.ts';
