// The store's options out of the broker's configuration: names and units of each side in one place.
import type { RetentionRules, StoreOptions } from '../store/index.ts';
import type { BrokerConfig } from './config/index.ts';
import type { DrBrokerOptions } from './door.ts';

const tuning = (config: BrokerConfig) => ({
  flushIntervalConsumeQueueMs: config.flushIntervalConsumeQueue,
  flushConsumeQueueThoroughIntervalMs: config.flushConsumeQueueThoroughInterval,
  checkCRCOnRecover: config.checkCRCOnRecover,
  cleanResourceIntervalMs: config.cleanResourceInterval,
  scrubBytesPerSecond: config.scrubBytesPerSecond,
});

/** What code 25 may change while the broker runs: looked up in the configuration each time. */
const liveRules = (config: BrokerConfig): RetentionRules => ({
  get fileReservedTimeHours() {
    return config.fileReservedTime;
  },
  get deleteWhen() {
    return config.deleteWhen;
  },
  get diskMaxUsedSpaceRatio() {
    return config.diskMaxUsedSpaceRatio;
  },
  get diskSpaceCleanForciblyRatio() {
    return config.diskSpaceCleanForciblyRatio;
  },
  get diskSpaceWarningLevelRatio() {
    return config.diskSpaceWarningLevelRatio;
  },
  get cleanFileForciblyEnable() {
    return config.cleanFileForciblyEnable;
  },
  get deleteCommitLogFilesIntervalMs() {
    return config.deleteCommitLogFilesInterval;
  },
  get deleteFileBatchMax() {
    return config.deleteFileBatchMax;
  },
});

/** @param storeHost advertised address in record form */
export function storeOptions(
  { config, dr }: { config: BrokerConfig; dr?: DrBrokerOptions },
  storeHost: Buffer,
): StoreOptions {
  return Object.assign(liveRules(config), tuning(config), {
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
    storeHost,
    region: dr?.region,
    initialRole: dr?.initialRole ?? ('active' as const),
  });
}
