// The contract of the message store: what brokers, links and backups may ask of it.
// Shape of the hot path: `append` is synchronous and allocates nothing; it checks the epoch guard,
// assigns offsets and encodes the record into the ring in one tick. Whoever must acknowledge waits
// until `onDurable` reports an end at or beyond the record's end; nothing is acknowledged before.
import type { CommitLogOffset, Epoch, QueueOffset } from '../base/index.ts';
import type { SendKernel } from '../kernel/index.ts';
import type { LineageEntry, RegionRole, WriteState } from '../protocol/index.ts';

export interface QueueRef {
  topic: string;
  queueId: number;
}

/** An interned topic name: string, bytes and their hash live as long as the store. */
export interface TopicHandle {
  readonly name: string;
  readonly bytes: Buffer;
  readonly id: number;
}

/**
 * One message to append. A reused, mutable object: `append` copies everything it needs.
 * Properties are the final text in RocketMQ form (key \u0001 value \u0002 ...).
 */
export interface RecordSource {
  topic: TopicHandle;
  queueId: number;
  flag: number;
  sysFlag: number;
  bornTimestampMs: number;
  /** 8 (IPv4) or 20 (IPv6) bytes: address and port. */
  bornHost: Buffer;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  body: Buffer;
  bodyStart: number;
  bodyLength: number;
  properties: Buffer;
  propertiesStart: number;
  propertiesLength: number;
  /**
   * Where TAGS, KEYS and UNIQ_KEY stand in the properties, when the caller has just looked: saves the
   * dispatcher a look. Not for delayed messages. undefined = not known.
   */
  marks?: PropertyMarks | undefined;
}

/** Values of three properties as ranges from the first byte of the properties; start -1 = absent. */
export interface PropertyMarks {
  tagsStart: number;
  tagsEnd: number;
  keysStart: number;
  keysEnd: number;
  uniqStart: number;
  uniqEnd: number;
}

/**
 * Frames that lie in the send kernel, to be appended by it. Shape n of the call belongs to topic n; its
 * address stands in the call already.
 */
export interface SendRun {
  readonly topics: readonly TopicHandle[];
  /** Queues that may be written to, per topic. */
  readonly queueCounts: readonly number[];
  readonly bodyBytesMax: number;
}

/** Where a record went. Reused by the store: read it before the next append. */
export interface AppendResult {
  physicalOffset: number;
  sizeBytes: number;
  queueOffset: number;
  storeTimestampMs: number;
}

export type PullStatus =
  | 'FOUND'
  | 'NO_MATCHED_MESSAGE'
  | 'MESSAGE_WAS_REMOVING'
  | 'NO_MATCHED_LOGIC_QUEUE'
  | 'NO_MESSAGE_IN_QUEUE'
  | 'OFFSET_OVERFLOW_ONE'
  | 'OFFSET_OVERFLOW_BADLY'
  | 'OFFSET_TOO_SMALL'
  | 'OFFSET_FOUND_NULL';

export interface PullLimit {
  messagesMax: number;
  bytesMax: number;
  /** Tag hash codes to keep; undefined = all. */
  tagCodes: ReadonlySet<number> | undefined;
  /** Looks into each record; what it refuses is left out. */
  filter?: RecordFilter | undefined;
  /** Other limits when the first entry is old; undefined = none. */
  cold?: ColdLimit | undefined;
}

/** Judges a record by its properties, as they stand in it. */
export interface RecordFilter {
  /** Steps one look may take: a pull counts them. */
  readonly work: number;
  matchesBytes(bytes: Buffer, start: number, length: number): boolean;
}

/** What lies before `below` in the log is old: it is given out in smaller pieces. */
export interface ColdLimit {
  below: number;
  messagesMax: number;
  bytesMax: number;
}

export interface PullResult {
  status: PullStatus;
  nextBeginOffset: QueueOffset;
  minOffset: QueueOffset;
  maxOffset: QueueOffset;
  messageCount: number;
  /** Concatenated records, or views of them; copy them before the next tick and the next pull. */
  chunks: Buffer[];
  sizeBytes: number;
}

export interface QueueBounds {
  min: QueueOffset;
  max: QueueOffset;
}

export interface RecordRef {
  physicalOffset: CommitLogOffset;
  sizeBytes: number;
}

export interface LookupKey {
  topic: string;
  key: string;
  beginMs: number;
  endMs: number;
}

/** Told after a record was dispatched to its queue: wakes held pulls. */
export interface ArrivalListener {
  /** False: nobody behind it waits. Asked once per run of records; absent = always true. */
  readonly isListening?: boolean;
  onArrival(queue: QueueRef, nextOffset: number, tagsCode: number): void;
}

export interface StoreBounds {
  minOffset: CommitLogOffset;
  /** End of what was appended (not necessarily written). */
  maxOffset: CommitLogOffset;
  /** End of what reached the kernel; readers and HA may see it. */
  writtenOffset: CommitLogOffset;
  /** End of what is on disk for sure. */
  flushedOffset: CommitLogOffset;
  /** End of what queues and index contain. */
  dispatchedOffset: CommitLogOffset;
}

export interface MessageStore {
  readonly guard: EpochGuard;
  /** Interns a topic name. @throws DrError USAGE when it is empty or longer than 255 bytes */
  topic(name: string): TopicHandle;
  /**
   * Appends one record. Durable only when onDurable says so.
   * @throws DrError FENCED, NOT_MASTER (standby), DISK_FULL, BUSY (too much unflushed), USAGE (too large)
   */
  append(record: RecordSource): AppendResult;
  /** Takes runs of sends; its memory is the store's. */
  readonly sendKernel: SendKernel;
  /**
   * Appends what of a run the kernel takes, like as many calls of append().
   * @returns how many; 0 when none may be taken now: append() says why
   * @throws DrError FENCED, NOT_MASTER; nothing changed then
   */
  appendRun(run: SendRun): number;
  /** Java hash of `topic#`: what hashes of its index keys begin with. */
  keyHashOf(topic: TopicHandle): number;
  /** The record that append() wrote last, in memory; valid until the next append. */
  recordOf(result: AppendResult): Buffer;
  /** Calls back, in order, after each flush with the end that may be acknowledged in this flush mode. */
  onDurable(listener: (end: CommitLogOffset) => void): void;
  /** Resolves when everything up to `end` may be acknowledged. */
  durable(end: number): Promise<void>;
  pull(queue: QueueRef, from: number, limit: PullLimit): PullResult;
  /**
   * Brings what such a pull reads from disk into the system's memory, off the loop. When it settles, ask
   * again: only entries that are there say which records are wanted. It never rejects. The limit is an
   * object of this pull alone; one that follows at once with the same object saves a look at the entries.
   * @returns undefined when the pull will not wait for a disk, as far as anybody knows
   */
  preload(queue: QueueRef, from: number, limit: PullLimit): Promise<void> | undefined;
  /** Calls back in a turn of the loop, once what that turn appended went to the disk and was answered. */
  afterWrites(run: () => void): void;
  bounds(queue: QueueRef): QueueBounds | undefined;
  /** Every queue that has a consume queue. */
  queues(): Iterable<QueueRef & QueueBounds>;
  find(key: LookupKey, limit: number): Promise<RecordRef[]>;
  /** One whole record, CRC checked. @throws DrError NOT_FOUND, CORRUPT (file and offset in context) */
  readRecord(offset: number): Buffer;
  /** First queue offset whose store time is >= ms (5.x LOWER); `max` after the last message. */
  offsetByTime(queue: QueueRef, ms: number, boundary?: 'lower' | 'upper'): QueueOffset;
  storeTimeOf(queue: QueueRef, offset: number): number;
  onArrival(listener: ArrivalListener): void;
  storeBounds(): StoreBounds;
  /**
   * Raw log bytes for HA and archive: a contiguous piece inside one file, or undefined at the end.
   * @param into  a buffer of the caller to read into, so that a bulk reader makes no garbage; the
   *   answer is a view of it
   */
  readLog(offset: number, bytesMax: number, into?: Buffer): Promise<Buffer | undefined>;
  /**
   * Link only: appends bytes at exactly `offset` under the standby's epoch. Records are CRC-checked
   * before they become readable, in bulk by another thread; a partial record at the end waits for its
   * rest.
   * @throws DrError FENCED (epoch or role), CORRUPT (bytes do not continue the log or a CRC is wrong, also
   *   of bytes taken before)
   */
  appendExact(offset: number, bytes: Buffer, epoch: Epoch): void;
  /** Link only: bytes taken that wait to be checked. */
  uncheckedBytes(): number;
  /**
   * Link only: resolves when more bytes were checked, at once when none wait for it.
   * @throws DrError CORRUPT when damage was found; the end is the validated end then
   */
  checkedMore(): Promise<void>;
  /** End of the last whole, CRC-checked record. */
  validatedEnd(): CommitLogOffset;
  /** Offset of the last whole message record before validatedEnd(), -1 when there is none; a link
   * compares this record with its source, also right after a boot. */
  lastRecordOffset(): number;
  /** Cuts the log and every queue to `to`. Epoch repair only; the caller has exported the tail. */
  truncate(to: number): Promise<void>;
  /** All records in [from, to) in log order, for statements, exports and digests. */
  scan(from: number, to: number): AsyncIterable<ScannedRecord>;
  /**
   * Deletes the queues of a topic; its records stay in the log until retention. Nothing happens when
   * `isUnused` says no in the tick of the deletion, or on a standby. Durable on return.
   */
  removeTopic(name: string, isUnused: () => boolean): Promise<boolean>;
  /** Deletions whose records still lie in the log: topic -> end of the log at that moment. */
  deletedTopics(): Record<string, number>;
  /**
   * Standby only: deletes the queues that the source had deleted when its log ended there, as far as
   * the copy has come; what lies behind is left to the next call. Durable on return.
   */
  followDeletions(ends: Record<string, number>): void;
  /** Topics that have queues. */
  topicNames(): string[];
  /** Deletes log files that reached their age, at any hour. */
  deleteExpired(): void;
  /** Drops queue entries and index files that point below the log. */
  trimQueues(): void;
  /** Waits until queues and index hold everything appended so far, or what of it is not damaged. */
  dispatched(): Promise<void>;
  /** Forces everything appended so far to disk. */
  flush(): Promise<void>;
  /** Why the store is not healthy, one sentence each; empty = it takes and keeps everything. */
  problems(): string[];
  /** Files that hold bytes at or above the given offset stay unless the disk forces them out. */
  keepFor(needed: () => number | undefined): void;
  close(): Promise<void>;
}

export interface ScannedRecord {
  offset: number;
  sizeBytes: number;
  topic: string;
  queueId: number;
  queueOffset: number;
  storeTimestampMs: number;
  bytes: Buffer;
}

/** Content of the file `drEpoch` in the store root. */
export interface EpochState {
  formatVersion: 1;
  region: string;
  role: RegionRole;
  epoch: number;
  opId: string | undefined;
  /** Durable seal: set by SEAL, cleared by UNSEAL, promote or reverse. */
  sealedBy: string | undefined;
  /** Set when another region was seen with a higher epoch. */
  deposedBy: { region: string; epoch: number } | undefined;
  lineage: LineageEntry[];
  storeId: string;
}

/**
 * Decides in the tick of the append whether it may happen. Its answer is what the file says: every
 * change is fsynced before it is in force. A store without a `dr` section has a guard that is always
 * open and writes no file.
 */
export interface EpochGuard {
  readonly writeState: WriteState;
  readonly state: EpochState;
  /** Called by append with `local` and by appendExact with `link`. @throws DrError FENCED, NOT_MASTER */
  check(writer: 'local' | 'link', epoch: number): void;
  /** Volatile fence (expiry is the broker's timer). Idempotent by opId. */
  fence(opId: string): void;
  unfence(opId: string): void;
  seal(opId: string): void;
  /** @throws DrError REFUSED when another opId sealed */
  unseal(opId: string): void;
  /** Compare-and-set fromEpoch -> fromEpoch + 1 and role active; the point of no return. */
  promote(change: { opId: string; fromEpoch: number; startOffset: number }): void;
  /** Old active -> standby of a higher epoch, adopting the lineage of the new active. */
  demote(change: { opId: string; epoch: number; lineage: LineageEntry[] }): void;
  /** Another region has a higher epoch: closed for good until demote. */
  depose(by: { region: string; epoch: number }): void;
  /** Boot check done: opens a closed active side (or ACTIVATE by the operator). */
  open(epoch: number): void;
  /**
   * After a failed write the disk may hold the old or the new state: makes the one in memory durable.
   * Nothing otherwise. @throws DrError as the failed write
   */
  confirm(): void;
  /** The link adopted new history of its source (same or higher epoch). */
  adoptLineage(epoch: number, lineage: LineageEntry[]): void;
}

export type FlushDiskType = 'ASYNC_FLUSH' | 'SYNC_FLUSH';

/** When old files go, and when appends are refused; read at every pass, so values may change. */
export interface RetentionRules {
  fileReservedTimeHours: number;
  /** Hours of the day, local, `;` between them. */
  deleteWhen: string;
  /** Percent of the disk from which age alone decides, at any hour. */
  diskMaxUsedSpaceRatio: number;
  /** Percent from which age does not count any more (with cleanFileForciblyEnable). */
  diskSpaceCleanForciblyRatio: number;
  /** Percent from which appends are refused. */
  diskSpaceWarningLevelRatio: number;
  cleanFileForciblyEnable: boolean;
  deleteCommitLogFilesIntervalMs: number;
  /** Files per pass. */
  deleteFileBatchMax: number;
}

/** What has a good value when nobody says anything: the defaults of Apache 5.5.0. */
export interface StoreTuning {
  cleanResourceIntervalMs: number;
  flushIntervalConsumeQueueMs: number;
  /** Time between two checkpoints while very many queues are written. */
  flushConsumeQueueThoroughIntervalMs: number;
  /** Body checksums are compared when the log is read at boot. */
  checkCRCOnRecover: boolean;
  /** Every record gets a checksum of the whole of it as its last property (enabledAppendPropCRC). */
  appendsRecordCrc: boolean;
  /** That checksum is compared wherever a record has one (forceVerifyPropCRC). */
  comparesRecordCrc: boolean;
  /** Topics above 127 bytes are taken (autoMessageVersionOnTopicLen). */
  takesLongTopics: boolean;
  /** The scrubber reads old log files at this rate, bytes per second; 0 = not at all. */
  scrubBytesPerSecond: number;
}

type GivenRules = 'fileReservedTimeHours' | 'deleteWhen' | 'diskMaxUsedSpaceRatio';

/** Everything a store needs to open; the broker makes them from its own keys (broker/store-options.ts). */
export interface StoreOptions
  extends Pick<RetentionRules, GivenRules>,
    Partial<Omit<RetentionRules, GivenRules>>,
    Partial<StoreTuning> {
  rootDir: string;
  commitLogDir: string;
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  flushDiskType: FlushDiskType;
  flushIntervalCommitLogMs: number;
  syncFlushTimeoutMs: number;
  maxMessageSizeBytes: number;
  maxHashSlotNum: number;
  maxIndexNum: number;
  messageIndexEnable: boolean;
  messageDelayLevel: string;
  /** brokerIP1 and listenPort in record form. */
  storeHost: Buffer;
  /** Region name when the configuration has a dr section; undefined = plain broker, no epochs. */
  region: string | undefined;
  /** Role to start with when the store has no drEpoch file. */
  initialRole: RegionRole;
}
