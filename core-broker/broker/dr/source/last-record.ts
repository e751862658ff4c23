// Finds the record that ends at a log offset by looking backwards, and its CRC: the proof a link and its
// source compare before the first byte flows. A record names its own length and has a magic number, so
// its start is the nearest earlier position where both fit.
// Both sides run this same search over bytes that must be equal, so even a freak match inside a body
// gives equal answers for equal logs. Source: ours; the record's layout is RocketMQ's.
import { crc32 } from 'node:zlib';
import { BLANK_MAGIC, RECORD_MAGIC_V1, RECORD_MAGIC_V2 } from '../../../protocol/index.ts';
import type { MessageStore } from '../../../store/index.ts';

const RECORD_BYTES_MIN = 8;
/** No record is larger: the broker refuses frames above this size. */
const SEARCH_BYTES_MAX = 16 * 1024 * 1024;
const FIRST_STEP_BYTES = 64 * 1024;

export interface LastRecord {
  offset: number;
  crc: number;
}

/**
 * The last message record before `end`; a blank that fills the end of a file is stepped over.
 * @param end a record boundary
 * @returns undefined when `end` is the start of the log or no record ends there
 */
export async function lastRecordBefore(
  store: MessageStore,
  fileSize: number,
  end: number,
): Promise<LastRecord | undefined> {
  const { minOffset } = store.storeBounds();
  if (end <= minOffset) return undefined;
  const fileStart = Math.max(end - 1 - ((end - 1) % fileSize), minOffset);
  for (let span = FIRST_STEP_BYTES; ; span *= 4) {
    const from = Math.max(fileStart, end - Math.min(span, SEARCH_BYTES_MAX));
    const bytes = await readExactly(store, from, end - from);
    if (bytes === undefined) return undefined;
    const start = findLastRecord(bytes);
    if (start !== undefined) {
      const isBlank = bytes.readInt32BE(start + 4) === BLANK_MAGIC;
      if (isBlank) return lastRecordBefore(store, fileSize, from + start);
      return { offset: from + start, crc: crc32(bytes.subarray(start)) };
    }
    if (from === fileStart || span >= SEARCH_BYTES_MAX) return undefined;
  }
}

/** Position of the record or blank that ends at the end of `bytes`. */
export function findLastRecord(bytes: Buffer): number | undefined {
  for (let at = bytes.length - RECORD_BYTES_MIN; at >= 0; at--) {
    if (bytes.readInt32BE(at) !== bytes.length - at) continue;
    const magic = bytes.readInt32BE(at + 4);
    if (magic === RECORD_MAGIC_V1 || magic === RECORD_MAGIC_V2 || magic === BLANK_MAGIC) return at;
  }
  return undefined;
}

/** Exactly `length` log bytes inside one file; undefined when the log ends before. */
export async function readExactly(
  store: MessageStore,
  offset: number,
  length: number,
): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  for (let at = offset; at < offset + length; ) {
    const piece = await store.readLog(at, offset + length - at);
    if (piece === undefined || piece.length === 0) return undefined;
    pieces.push(piece);
    at += piece.length;
  }
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
}
