// A digest as words: how digests pass between threads, and how the kernel writes them.
//   0 size  1 topic  2 queueId  3 isQueued  4 queueOffset 2  6 storeTimestamp 2  8 tagsCode 2
//   10 number of keys  11 hash ...          (64-bit values as high and low word)
// The topic is a number of whoever wrote the row; the physical offset is the end of the record before.
// Invariant: size is positive; a word that is not stands where no record's row begins.
import type { RecordDigest } from './record-digest.ts';

export const ROW_WORDS = 11;
export const RowWord = {
  size: 0,
  topic: 1,
  queueId: 2,
  isQueued: 3,
  queueOffset: 4,
  storeTimestamp: 6,
  tagsCode: 8,
  keyCount: 10,
} as const;
const WORD = 0x1_0000_0000;

/** A 64-bit value of a row. */
export const longAt = (words: Int32Array, at: number): number =>
  words[at]! * WORD + (words[at + 1]! >>> 0);

/** Words of the row at `at`. */
export const rowLength = (words: Int32Array, at: number): number =>
  ROW_WORDS + words[at + RowWord.keyCount]!;

/** Everything but the physical offset. */
export function readRow(words: Int32Array, at: number, into: RecordDigest): void {
  into.begin();
  into.size = words[at]!;
  into.queueId = words[at + RowWord.queueId]!;
  into.isQueued = words[at + RowWord.isQueued]! !== 0;
  into.queueOffset = longAt(words, at + RowWord.queueOffset);
  into.storeTimestampMs = longAt(words, at + RowWord.storeTimestamp);
  into.tagsCode = longAt(words, at + RowWord.tagsCode);
  const count = words[at + RowWord.keyCount]!;
  for (let i = 0; i < count; i++) into.addKey(words[at + ROW_WORDS + i]!);
}

/** The words of a row at `at`, which has room for them. */
export function writeRow(words: Int32Array, at: number, digest: RecordDigest, topic: number): void {
  words[at] = digest.size;
  words[at + RowWord.topic] = topic;
  words[at + RowWord.queueId] = digest.queueId;
  words[at + RowWord.isQueued] = digest.isQueued ? 1 : 0;
  words[at + RowWord.queueOffset] = Math.floor(digest.queueOffset / WORD);
  words[at + RowWord.queueOffset + 1] = digest.queueOffset | 0;
  words[at + RowWord.storeTimestamp] = Math.floor(digest.storeTimestampMs / WORD);
  words[at + RowWord.storeTimestamp + 1] = digest.storeTimestampMs | 0;
  words[at + RowWord.tagsCode] = Math.floor(digest.tagsCode / WORD);
  words[at + RowWord.tagsCode + 1] = digest.tagsCode | 0;
  words[at + RowWord.keyCount] = digest.keyCount;
  for (let i = 0; i < digest.keyCount; i++) words[at + ROW_WORDS + i] = digest.keyHashes[i]!;
}
