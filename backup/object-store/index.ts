// Door of the object stores: one port, two adapters, two wrappers.
export * from './checksum-probe.ts';
export { isAlive } from './claim.ts';
export { type FileStoreOptions, openFileStore } from './file-store.ts';
export * from './port.ts';
export * from './retrying.ts';
export * from './s3-store.ts';
export * from './throttled.ts';
export * from './upload-journal.ts';
