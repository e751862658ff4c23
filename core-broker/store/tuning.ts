// The values of a store's options that nobody gave: those of Apache 5.5.0, and of what only we have.
// Values are looked up at each use, because an operator may change some while the broker runs.
import type { RetentionRules, StoreOptions, StoreTuning } from './door.ts';

const DEFAULTS: Omit<
  RetentionRules,
  'fileReservedTimeHours' | 'deleteWhen' | 'diskMaxUsedSpaceRatio'
> &
  StoreTuning = {
  diskSpaceCleanForciblyRatio: 85,
  diskSpaceWarningLevelRatio: 90,
  cleanFileForciblyEnable: true,
  deleteCommitLogFilesIntervalMs: 100,
  deleteFileBatchMax: 10,
  cleanResourceIntervalMs: 10_000,
  flushIntervalConsumeQueueMs: 1_000,
  flushConsumeQueueThoroughIntervalMs: 60_000,
  checkCRCOnRecover: true,
  appendsRecordCrc: false,
  comparesRecordCrc: false,
  takesLongTopics: true,
  scrubBytesPerSecond: 0,
};

/** The options with every default; reads go through to the caller's object. */
export function tuned(options: StoreOptions): StoreOptions & RetentionRules & StoreTuning {
  return new Proxy(options, {
    get: (target, key) =>
      Reflect.get(target, key) ?? (DEFAULTS as unknown as Record<string | symbol, unknown>)[key],
  }) as StoreOptions & RetentionRules & StoreTuning;
}
