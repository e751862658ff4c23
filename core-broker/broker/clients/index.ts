// Door of the client registry: consumers, producers, subscriptions, queue locks.
export * from './consumer-table.ts';
export * from './producer-table.ts';
export * from './queue-locks.ts';
