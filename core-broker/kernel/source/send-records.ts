// The record of a send and its digest. A record is a copy of the one its shape was learned from, with what
// differs written over it: numbers before the body, property values behind it.
import {
  CALL,
  CALL_HAS_INDEX,
  CALL_STORE_TIME,
  COPY_BYTES,
  FRAME,
  FRAME_BORN,
  FRAME_PHYSICAL,
  FRAME_QUEUE,
  FRAME_QUEUE_OFFSET,
  FRAME_SIZE,
  ROW_HASHES,
  ROW_HASHES_MAX,
  ROW_IS_QUEUED,
  ROW_KEYS,
  ROW_QUEUE,
  ROW_QUEUE_OFFSET,
  ROW_SIZE,
  ROW_STORE_TIME,
  ROW_TAG,
  ROW_TOPIC,
  SHAPE_COPIES,
  SHAPE_COPY,
  SHAPE_HEAD,
  SHAPE_HEAD_BYTES,
  SHAPE_HEADER,
  SHAPE_KEY_HASH,
  SHAPE_KEYS,
  SHAPE_STORE_TIME,
  SHAPE_TAG,
  SHAPE_TOPIC,
  SHAPE_UNIQUE,
} from '../send-layout';
import { copyExact, copyLoose, putInt, putLong } from './bytes';
import { crc32 } from './crc32';
import { javaHash } from './java-hash';

const BLANK: i8 = 32;

/** Writes the record of the frame in hand, whose body ends at `stop`. */
export function writeRecord(at: usize, shape: usize, header: usize, stop: usize): void {
  const bodyFrom = header + load<usize>(shape, SHAPE_HEADER);
  const headBytes = load<usize>(shape, SHAPE_HEAD_BYTES);
  const crc = i32(crc32(bodyFrom, stop) & 0x7fffffff);
  copyLoose(at, shape + SHAPE_HEAD, headBytes);
  putInt(at, load<i32>(FRAME + FRAME_SIZE));
  putInt(at + 8, crc);
  putInt(at + 12, load<i32>(FRAME + FRAME_QUEUE));
  putLong(at + 20, load<i64>(FRAME + FRAME_QUEUE_OFFSET));
  putLong(at + 28, load<i64>(FRAME + FRAME_PHYSICAL));
  putLong(at + 40, load<i64>(FRAME + FRAME_BORN));
  putLong(at + load<usize>(shape, SHAPE_STORE_TIME), i64(load<f64>(CALL + CALL_STORE_TIME)));
  putInt(at + headBytes - 4, i32(stop - bodyFrom));
  const bodyEnd = copyLoose(at + headBytes, bodyFrom, stop - bodyFrom);
  writeTail(bodyEnd, shape, header);
}

/** Topic and properties: pieces of the shape and of the header in turn. */
function writeTail(at: usize, shape: usize, header: usize): void {
  let to = at;
  let copy = shape + SHAPE_COPY;
  const end = copy + load<usize>(shape, SHAPE_COPIES) * COPY_BYTES;
  for (; copy < end; copy += COPY_BYTES) {
    const from = (load<u32>(copy) !== 0 ? header : shape) + load<usize>(copy, 4);
    const length = load<usize>(copy, 8);
    to = load<u32>(copy, 12) !== 0 ? copyExact(to, from, length) : copyLoose(to, from, length);
  }
}

/** Puts the hashes of the index keys into the row. @returns false when there are more than fit */
export function noteKeys(shape: usize, header: usize, row: usize): bool {
  if (load<u32>(CALL + CALL_HAS_INDEX) === 0) {
    store<u32>(row, 0, ROW_KEYS);
    return true;
  }
  const prefix = load<u32>(shape, SHAPE_KEY_HASH);
  let count: usize = 0;
  const unique = header + load<usize>(shape, SHAPE_UNIQUE);
  const uniqueLength = load<usize>(shape, SHAPE_UNIQUE + 4);
  if (uniqueLength > 0)
    count = noteKey(row, count, javaHash(prefix, unique, unique + uniqueLength));
  if (load<i32>(shape, SHAPE_KEYS) >= 0) {
    let start = header + load<usize>(shape, SHAPE_KEYS);
    const end = start + load<usize>(shape, SHAPE_KEYS + 4);
    while (start < end) {
      const stop = blankIn(start, end);
      if (stop > start) {
        if (count === ROW_HASHES_MAX) return false;
        count = noteKey(row, count, javaHash(prefix, start, stop));
      }
      start = stop + 1;
    }
  }
  store<usize>(row, count, ROW_KEYS);
  return true;
}

/** The first blank of [from, to), or `to`. */
function blankIn(from: usize, to: usize): usize {
  for (let at = from; at < to; at += 16) {
    const blanks = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(BLANK)));
    if (blanks !== 0) return min<usize>(at + ctz<u32>(blanks), to);
  }
  return to;
}

function noteKey(row: usize, count: usize, hashed: u32): usize {
  const hash = i32(hashed);
  // The smallest number has no absolute.
  store<i32>(row + (count << 2), hash === i32.MIN_VALUE ? 0 : abs<i32>(hash), ROW_HASHES);
  return count + 1;
}

/** The rest of the row; its keys are there. @returns the place behind it */
export function writeRow(row: usize, shape: usize, header: usize): usize {
  store<i32>(row, load<i32>(FRAME + FRAME_SIZE), ROW_SIZE);
  store<i32>(row, load<i32>(shape, SHAPE_TOPIC), ROW_TOPIC);
  store<i32>(row, load<i32>(FRAME + FRAME_QUEUE), ROW_QUEUE);
  store<i32>(row, 1, ROW_IS_QUEUED);
  putWords(row + ROW_QUEUE_OFFSET, load<i64>(FRAME + FRAME_QUEUE_OFFSET));
  putWords(row + ROW_STORE_TIME, i64(load<f64>(CALL + CALL_STORE_TIME)));
  let tag = 0;
  if (load<i32>(shape, SHAPE_TAG) >= 0) {
    const from = header + load<usize>(shape, SHAPE_TAG);
    tag = i32(javaHash(0, from, from + load<usize>(shape, SHAPE_TAG + 4)));
  }
  putWords(row + ROW_TAG, i64(tag));
  return row + ROW_HASHES + (load<usize>(row, ROW_KEYS) << 2);
}

/** A long as high and low word. */
function putWords(at: usize, value: i64): void {
  store<i64>(at, rotl<i64>(value, 32));
}
