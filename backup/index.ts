// Door of backup: snapshot, verify, restore, retention, and the jobs that run them on a schedule.
export * from './backup.ts';
export * from './child/index.ts';
export * from './config.ts';
export * from './jobs/index.ts';
export type { ByteRange, ObjectInfo, ObjectStore, PutResult } from './object-store/index.ts';
export {
  type FileStoreOptions,
  openFileStore,
  openS3Store,
  openUploadJournal,
  probeChecksumMode,
  type S3StoreOptions,
  withRetry,
  withThrottle,
} from './object-store/index.ts';
export type { KeepPolicy, PruneResult } from './repository/index.ts';
export type { RestoreCut, RestoreProgress, RestoreResult } from './restore/index.ts';
export * from './schedule.ts';
export * from './scheduled-backup.ts';
export type { SnapshotResult } from './snapshot/index.ts';
export { VERIFY_DEPTHS, type VerifyDepth, type VerifyResult } from './verify/index.ts';
