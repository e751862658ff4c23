// The checkpoint file: 4096 bytes, big-endian int64 fields as Apache reads and writes them, and behind
// them, where Apache never looks, exact offsets of ours with a checksum.
//   0 physicMsgTimestamp  8 logicsMsgTimestamp  16 indexMsgTimestamp  24 masterFlushedOffset
//   32 confirmPhyOffset   2048 "DRCP"  2052 crc32 of 0..24 and 2056..2080  2056 flushed  2064 dispatched
//   2072 unchecked + 1, 0 = none
// The checksum covers Apache's timestamps: once a stock broker wrote them, our offsets do not count.
// Invariant: everything below `flushed` is on disk in the log, everything below `dispatched` is on
// disk in queues and index. From `unchecked` on a link may have written bytes nobody checked. A stale checkpoint is only slower; it never hides a record.
import * as fs from 'node:fs';
import { crc32 } from 'node:zlib';
import { writeInt64 } from '../../protocol/index.ts';
import { CHECKPOINT_BYTES } from '../layout.ts';

const OURS_AT = 2048;
const OURS_MAGIC = 0x44524350;

export interface Checkpoint {
  physicMsgTimestampMs: number;
  logicsMsgTimestampMs: number;
  indexMsgTimestampMs: number;
  /** Exact offsets; undefined when a stock broker wrote the file last or nobody did. */
  flushedOffset: number | undefined;
  dispatchedOffset: number | undefined;
  uncheckedOffset: number | undefined;
}

const NONE: Checkpoint = {
  physicMsgTimestampMs: 0,
  logicsMsgTimestampMs: 0,
  indexMsgTimestampMs: 0,
  flushedOffset: undefined,
  dispatchedOffset: undefined,
  uncheckedOffset: undefined,
};

/** A missing or short file reads as zeros: recovery then starts at the first file. */
export function readCheckpoint(file: string): Checkpoint {
  if (!fs.existsSync(file)) return NONE;
  const bytes = fs.readFileSync(file);
  if (bytes.length < 24) return NONE;
  const isOurs =
    bytes.length === CHECKPOINT_BYTES &&
    bytes.readUInt32BE(OURS_AT) === OURS_MAGIC &&
    bytes.readUInt32BE(OURS_AT + 4) === checksum(bytes);
  const unchecked = isOurs ? positiveLong(bytes, OURS_AT + 24) : 0;
  return {
    physicMsgTimestampMs: positiveLong(bytes, 0),
    logicsMsgTimestampMs: positiveLong(bytes, 8),
    indexMsgTimestampMs: positiveLong(bytes, 16),
    flushedOffset: isOurs ? positiveLong(bytes, OURS_AT + 8) : undefined,
    dispatchedOffset: isOurs ? positiveLong(bytes, OURS_AT + 16) : undefined,
    uncheckedOffset: unchecked > 0 ? unchecked - 1 : undefined,
  };
}

/** Writes all of it in place and syncs. */
export function writeCheckpoint(file: string, checkpoint: Required<Checkpoint>): void {
  const bytes = Buffer.alloc(CHECKPOINT_BYTES);
  writeInt64(bytes, checkpoint.physicMsgTimestampMs, 0);
  writeInt64(bytes, checkpoint.logicsMsgTimestampMs, 8);
  writeInt64(bytes, checkpoint.indexMsgTimestampMs, 16);
  writeInt64(bytes, checkpoint.flushedOffset ?? 0, OURS_AT + 8);
  writeInt64(bytes, checkpoint.dispatchedOffset ?? 0, OURS_AT + 16);
  writeInt64(bytes, (checkpoint.uncheckedOffset ?? -1) + 1, OURS_AT + 24);
  bytes.writeUInt32BE(OURS_MAGIC, OURS_AT);
  bytes.writeUInt32BE(checksum(bytes), OURS_AT + 4);
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
  try {
    fs.writeSync(fd, bytes, 0, bytes.length, 0);
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

const checksum = (bytes: Buffer): number =>
  crc32(bytes.subarray(OURS_AT + 8, OURS_AT + 32), crc32(bytes.subarray(0, 24)));

function positiveLong(bytes: Buffer, at: number): number {
  const value = bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}
