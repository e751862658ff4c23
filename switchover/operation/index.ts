// Door of operation: which operation a verb works on, and the lock that lets one run at a time.
export * from './identity.ts';
export * from './lock.ts';
