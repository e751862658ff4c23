// Door of the store (L2): open a store, its contract, read-only access to a closed one, layout names.

export { storeHolder } from './boot/store-lock.ts';
export type * from './door.ts';
export { readEpochFile } from './guard/epoch-file.ts';
export * from './layout.ts';
export { type LogReader, type LogReaderOptions, openLogReader } from './log-reader.ts';
export { type RebuildOptions, type RebuildReport, rebuildQueues } from './offline/rebuild.ts';
export { type QueueFault, type VerifyReport, verifyQueues } from './offline/verify.ts';
export { openStore } from './open-store.ts';
