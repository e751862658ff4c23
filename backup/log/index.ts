// Door of the read-only views of a store's files, and the few files a restore writes.
export * from './log-files.ts';
export * from './loose-json.ts';
export * from './offsets.ts';
export * from './queue-state.ts';
export * from './record.ts';
export * from './resync.ts';
export * from './scan.ts';
