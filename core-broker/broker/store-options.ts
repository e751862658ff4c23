// The store's options out of the broker's configuration: names and units of each side in one place.
import type { StoreOptions } from '../store/index.ts';
import type { BrokerConfig } from './config/index.ts';
import type { DrBrokerOptions } from './door.ts';

/** @param storeHost advertised address in record form */
export function storeOptions(
  { config, dr }: { config: BrokerConfig; dr?: DrBrokerOptions },
  storeHost: Buffer,
): StoreOptions {
  return {
    rootDir: config.storePathRootDir,
    commitLogDir: config.storePathCommitLog,
    mappedFileSizeCommitLog: config.mappedFileSizeCommitLog,
    mappedFileSizeConsumeQueue: config.mappedFileSizeConsumeQueue,
    flushDiskType: config.flushDiskType,
    flushIntervalCommitLogMs: config.flushIntervalCommitLog,
    syncFlushTimeoutMs: config.syncFlushTimeout,
    maxMessageSizeBytes: config.maxMessageSize,
    maxHashSlotNum: config.maxHashSlotNum,
    maxIndexNum: config.maxIndexNum,
    messageIndexEnable: config.messageIndexEnable,
    messageDelayLevel: config.messageDelayLevel,
    fileReservedTimeHours: config.fileReservedTime,
    deleteWhen: config.deleteWhen,
    diskMaxUsedSpaceRatio: config.diskMaxUsedSpaceRatio,
    storeHost,
    region: dr?.region,
    initialRole: dr?.initialRole ?? 'active',
  };
}
