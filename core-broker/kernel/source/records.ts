// Walks commit-log records: checks each one's form, position and body CRC and writes a row of what queues
// and index want to know. It stops before whatever is not a whole, sound and usual record, and says
// nothing about it: damage, end markers and rare forms are the caller's, who has the full reader.
// Invariant: a record it passes is one that reader would pass, with the same row; a test holds it to that.
// Source of the rules: store/log/record-bytes.ts and store/queue/digest, this is their fast copy.
//
// Memory: [0, 8) answer of walk (next position, words of rows) | crc32 | topics | rows | caller's bytes,
// with 16 spare ones behind them.
import { crc32 } from './crc32';
import { isPlain, javaHash } from './java-hash';
import { keysEnd, keysStart, scan, tagsEnd, tagsStart, uniqEnd, uniqStart } from './properties';
import { keyHashOf, numberOf, SLOTS_END, topicAt } from './topics';

export { crc32, prepare } from './crc32';
export { forget, know } from './topics';

const MAGIC_V1: u32 = 0xa720a3da;
const MAGIC_V2: u32 = 0xab20a3da;
const RECORD_BYTES_MIN: u32 = 91;
const BORN_HOST_V6: u32 = 0x10;
const STORE_HOST_V6: u32 = 0x20;
const PREPARED: u32 = 4;
const ROLLBACK: u32 = 12;
/** Longs at and above 2^53 are left to the caller. */
const HIGH_WORD_MAX: u32 = 1 << 21;
const BLANK: u8 = 32;

const ROWS: usize = SLOTS_END;
const ROW_WORDS: u32 = 11;
const KEYS_MAX: u32 = 64;

let indexes: bool = false;
let rowAt: usize = 0;
let keyCount: u32 = 0;

/** @param hasIndex  rows carry the hashes of the index keys */
export function configure(hasIndex: bool): void {
  indexes = hasIndex;
}

/**
 * Walks records from `from` on, which is at `offset` of the log.
 * @param to         end of the known bytes, not beyond the end of the log file
 * @param roomWords  words that the rows may take
 */
export function walk(from: usize, to: usize, offset: f64, roomWords: u32): void {
  const rowsEnd = ROWS + (usize(roomWords) << 2);
  let at = from;
  let row = ROWS;
  while (row + ((ROW_WORDS + KEYS_MAX) << 2) <= rowsEnd) {
    const size = pass(at, to, u64(offset) + u64(at - from), row);
    if (size === 0) break;
    at += size;
    row += (ROW_WORDS + keyCount) << 2;
  }
  store<u32>(0, at);
  store<u32>(4, u32(row - ROWS) >>> 2);
}

/** @returns size of the record, 0 = left to the caller */
function pass(at: usize, end: usize, offset: u64, row: usize): u32 {
  if (end - at < RECORD_BYTES_MIN) return 0;
  const size = word(at);
  const magic = load<u32>(at, 4);
  if (size < RECORD_BYTES_MIN || size > u32(end - at)) return 0;
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return 0;
  if (bswap<u64>(load<u64>(at, 28)) !== offset) return 0;
  const recordEnd = at + size;
  const flags = word(at + 36);
  const timeAt = at + ((flags & BORN_HOST_V6) !== 0 ? 68 : 56);
  const bodyAt = timeAt + ((flags & STORE_HOST_V6) !== 0 ? 40 : 28);
  if (bodyAt + 4 > recordEnd) return 0;
  const bodyLength = word(bodyAt);
  if (bodyLength > u32(recordEnd - bodyAt) - 4) return 0;
  const bodyEnd = bodyAt + 4 + bodyLength;
  if (bodyEnd + 3 > recordEnd) return 0;
  const isV2 = magic === MAGIC_V2;
  const topicStart = bodyEnd + (isV2 ? 2 : 1);
  const topicLength = isV2 ? half(bodyEnd) : u32(load<u8>(bodyEnd));
  const topicEnd = topicStart + topicLength;
  if (topicEnd + 2 > recordEnd) return 0;
  const propertiesStart = topicEnd + 2;
  if (propertiesStart + half(topicEnd) !== recordEnd) return 0;
  const topic = topicAt(topicStart, topicEnd);
  if (topic === 0) return 0;
  if (!isSound(bodyAt + 4, bodyEnd, load<u32>(at, 8))) return 0;
  scan(propertiesStart, recordEnd);
  store<u32>(row, size);
  store<i32>(row, numberOf(topic), 4);
  store<u32>(row, word(at + 12), 8);
  return putLong(row + 16, at + 20) &&
    putLong(row + 24, timeAt) &&
    putTag(row, flags & ROLLBACK) &&
    putKeys(row, flags & ROLLBACK, keyHashOf(topic))
    ? size
    : 0;
}

/** The body matches its CRC; an empty body has none. */
function isSound(from: usize, to: usize, stored: u32): bool {
  if (from === to) return true;
  return (crc32(from, to) & 0x7fffffff) === bswap<u32>(stored);
}

/** A long as high and low word. */
function putLong(row: usize, at: usize): bool {
  const high = word(at);
  store<u32>(row, high);
  store<u32>(row, word(at + 4), 4);
  return high < HIGH_WORD_MAX;
}

function putTag(row: usize, transaction: u32): bool {
  const isQueued = transaction !== PREPARED && transaction !== ROLLBACK;
  let hash: i32 = 0;
  if (isQueued && tagsStart !== 0 && tagsEnd > tagsStart) {
    hash = i32(javaHash(0, tagsStart, tagsEnd));
    if (!isPlain) return false;
  }
  store<u32>(row, u32(isQueued), 12);
  store<i32>(row, hash >> 31, 32);
  store<i32>(row, hash, 36);
  return true;
}

/** UNIQ_KEY, then every blank-separated part of KEYS. */
function putKeys(row: usize, transaction: u32, prefix: u32): bool {
  keyCount = 0;
  rowAt = row + (ROW_WORDS << 2);
  if (indexes && transaction !== ROLLBACK) {
    if (uniqStart !== 0 && !putKey(prefix, uniqStart, uniqEnd)) return false;
    if (keysStart !== 0 && !putParts(prefix)) return false;
  }
  store<u32>(row, keyCount, 40);
  return true;
}

function putParts(prefix: u32): bool {
  let start = keysStart;
  for (let at = start; at <= keysEnd; at++) {
    if (at < keysEnd && load<u8>(at) !== BLANK) continue;
    if (!putKey(prefix, start, at)) return false;
    start = at + 1;
  }
  return true;
}

/** Absolute value of the hash of `topic#key`; 0 for the one value that has none. */
function putKey(prefix: u32, from: usize, to: usize): bool {
  if (to <= from) return true;
  if (keyCount === KEYS_MAX) return false;
  const hash = i32(javaHash(prefix, from, to));
  if (!isPlain) return false;
  store<i32>(rowAt, max<i32>(hash < 0 ? -hash : hash, 0));
  rowAt += 4;
  keyCount++;
  return true;
}

/** Big-endian words. */
function word(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

function half(at: usize): u32 {
  return u32(bswap<u16>(load<u16>(at)));
}
