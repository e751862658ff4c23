// Door of the client registry: consumers, producers, subscriptions, queue locks.
export * from './client-expiry.ts';
export * from './consumer-table.ts';
export * from './producer-table.ts';
export * from './queue-locks.ts';
