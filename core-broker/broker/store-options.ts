// The store's options out of the broker's configuration: names and units of each side in one place.
import { LIMITS } from '../base/index.ts';
import type { RetentionRules, StoreOptions } from '../store/index.ts';
import type { BrokerConfig } from './config/index.ts';
import type { DrBrokerOptions } from './door.ts';

/** Beats of the store that code 25 may change: looked up before each. */
const liveBeats = (config: BrokerConfig) => ({
  get flushIntervalCommitLogMs() {
    return config.flushIntervalCommitLog;
  },
  get flushIntervalConsumeQueueMs() {
    return config.flushIntervalConsumeQueue;
  },
  get flushConsumeQueueThoroughIntervalMs() {
    return config.flushConsumeQueueThoroughInterval;
  },
  get cleanResourceIntervalMs() {
    return config.cleanResourceInterval;
  },
});

/** The same for retention: looked up at each run. */
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
  return withGetters(liveRules(config), liveBeats(config), {
    rootDir: config.storePathRootDir,
    commitLogDir: config.storePathCommitLog,
    mappedFileSizeCommitLog: config.mappedFileSizeCommitLog,
    mappedFileSizeConsumeQueue: config.mappedFileSizeConsumeQueue,
    flushDiskType: config.flushDiskType,
    syncFlushTimeoutMs: config.syncFlushTimeout,
    checkCRCOnRecover: config.checkCRCOnRecover,
    appendsRecordCrc: config.enabledAppendPropCRC,
    comparesRecordCrc: config.forceVerifyPropCRC,
    takesLongTopics: config.autoMessageVersionOnTopicLen,
    scrubBytesPerSecond: config.scrubBytesPerSecond,
    // Why: maxMessageSize may grow while the broker runs; no body is larger than a frame.
    maxMessageSizeBytes: Math.max(config.maxMessageSize, LIMITS.frameBytesMax),
    maxHashSlotNum: config.maxHashSlotNum,
    maxIndexNum: config.maxIndexNum,
    messageIndexEnable: config.messageIndexEnable,
    messageDelayLevel: config.messageDelayLevel,
    storeHost,
    region: dr?.region,
    initialRole: dr?.initialRole ?? ('active' as const),
  });
}

/** Object.assign would read the getters once. */
function withGetters<A extends object, B extends object, C extends object>(
  first: A,
  second: B,
  third: C,
): A & B & C {
  const all = [first, second, third].map((each) => Object.getOwnPropertyDescriptors(each));
  return Object.defineProperties({}, Object.assign({}, ...all)) as A & B & C;
}
