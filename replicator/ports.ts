// Ports of the mirror link: what the standby's broker offers to it. Wired in one process by cli;
// a socket hop between link and store would halve the speed.
import type { CommitLogOffset, Epoch } from '../core-broker/base/index.ts';
import type { LineageEntry } from '../core-broker/protocol/index.ts';

/** Where the standby's copy ends. */
export interface SinkPosition {
  /** End of the last whole record; half a record behind it is the running link's to remember. */
  offset: CommitLogOffset;
  epoch: Epoch;
  /** CRC-32 (unsigned) of the last whole record's bytes, 0 when the log is empty. */
  lastRecordCrc: number;
  /** Offset of that record, -1 when the log is empty; a stock source is compared through code 33. */
  lastRecordOffset: number;
  lineage: LineageEntry[];
}

/** Byte-exact, epoch-checked append into the standby's store. The log itself is the checkpoint. */
export interface ExactSink {
  position(): SinkPosition;
  /**
   * Appends log bytes at `offset`, which must be the current end; into an empty copy it may be the
   * start of any commit-log file. Takes what it needs of `bytes` before it returns (a reused buffer).
   * @throws DrError FENCED (the store is not a standby at this epoch), DISK_FULL, CORRUPT (also of
   *   bytes taken before: in bulk they are checked later)
   */
  append(offset: number, bytes: Buffer, epoch: Epoch): void;
  /** End of the last whole, CRC-checked record. */
  validatedEnd(): CommitLogOffset;
  /** Bytes taken but not yet checked; the link stops reading above its bound. */
  pendingBytes(): number;
  /** Resolves when pendingBytes is lower. @throws DrError CORRUPT */
  drained(): Promise<void>;
  /** Resolves when validatedEnd() has moved or nothing waits to be checked. @throws DrError CORRUPT */
  checkedMore(): Promise<void>;
  /** Resolves when everything taken is checked, or given up because of damage. */
  settled(): Promise<void>;
  /** fsync of everything taken; resolves when durable. */
  flush(): Promise<void>;
  /** Exports [to, end) to a file beside the store, then cuts. Returns the file. */
  exportAndTruncate(to: number): Promise<string>;
  /** Takes over the source's history after an attach. */
  adoptLineage(epoch: Epoch, lineage: LineageEntry[]): void;
  /** Raw bytes of one record of the copy, for comparison with a stock source. */
  readRecord(offset: number): Buffer;
}

/** Metadata of the source region in RocketMQ's JSON shapes (codes 21, 201, 43, 45, 60, 402). */
export interface MetadataSnapshot {
  topics: unknown;
  groups: unknown;
  consumerOffsets: unknown;
  delayOffsets: unknown;
  /** A source before 5.0 has none. */
  requestModes?: unknown;
  /** Bytes of the timer checkpoint, base64; a source without timers has none. */
  timerCheckpoint?: string | undefined;
}

export interface MetadataSink {
  /**
   * Applies one snapshot durably. Consumer offsets are clamped to the copied data and never move back
   * for groups that consume at the standby.
   */
  apply(snapshot: MetadataSnapshot): {
    topics: number;
    groups: number;
    offsets: number;
    delayLevels: number;
  };
}
