// The answer to a send: the broker's template with queue id, message id, queue offset, unique key and opaque.
//   frame length 4 | header length 4 | head, its last 16 bytes the offset in hex | piece, number, piece ...
import {
  FRAME,
  FRAME_OPAQUE,
  FRAME_PHYSICAL,
  FRAME_QUEUE,
  FRAME_QUEUE_OFFSET,
  PIECE_BYTES,
  SHAPE_PIECE,
  SHAPE_PIECES,
  SHAPE_REPLY,
  SHAPE_REPLY_HEAD,
  SHAPE_UNIQUE,
} from '../send-layout';
import { copyLoose, copyShort, putInt } from './bytes';

const HEX_DIGITS: usize = 16;
const EIGHT_DIGITS: u64 = 100000000;
const ZEROS: u64 = (u64(0x30303030) << 32) | 0x30303030;
const LAST_DIGIT: u64 = 0x0100000000000000;

/** @returns the place behind the reply */
export function writeReply(at: usize, shape: usize, header: usize): usize {
  let to = copyLoose(at, shape + SHAPE_REPLY, load<usize>(shape, SHAPE_REPLY_HEAD));
  putHex(to - HEX_DIGITS, load<i64>(FRAME + FRAME_PHYSICAL));
  to = putNumber(piece(to, shape, 0), i64(load<i32>(FRAME + FRAME_QUEUE)));
  to = putNumber(piece(to, shape, 1), load<i64>(FRAME + FRAME_QUEUE_OFFSET));
  to = piece(to, shape, 2);
  const unique = header + load<usize>(shape, SHAPE_UNIQUE);
  to = copyShort(to, unique, load<usize>(shape, SHAPE_UNIQUE + 4));
  to = putNumber(piece(to, shape, 3), i64(load<i32>(FRAME + FRAME_OPAQUE)));
  to = piece(to, shape, 4);
  putInt(at, i32(to - at - 4));
  putInt(at + 4, i32(to - at - 8));
  return to;
}

function piece(to: usize, shape: usize, n: usize): usize {
  const length = load<usize>(shape + (n << 2), SHAPE_PIECES);
  return copyShort(to, shape + SHAPE_PIECE + n * PIECE_BYTES, length);
}

/** Sixteen upper-case digits. */
function putHex(at: usize, value: i64): void {
  const bytes = i64x2.replace_lane(i64x2.splat(0), 0, bswap<i64>(value));
  const high = v128.shr<u8>(bytes, 4);
  const low = v128.and(bytes, i8x16.splat(15));
  const both = v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const digits = i8x16(
    0x30,
    0x31,
    0x32,
    0x33,
    0x34,
    0x35,
    0x36,
    0x37,
    0x38,
    0x39,
    0x41,
    0x42,
    0x43,
    0x44,
    0x45,
    0x46,
  );
  v128.store(at, v128.swizzle(digits, both));
}

/** Decimal digits. @returns the place behind them */
function putNumber(at: usize, value: i64): usize {
  if (u64(value) < 10) {
    store<u8>(at, u8(0x30 + value));
    return at + 1;
  }
  if (value < 0) {
    store<u8>(at, 0x2d);
    return putDigits(at + 1, u64(-value));
  }
  return putDigits(at, u64(value));
}

function putDigits(at: usize, value: u64): usize {
  if (value < EIGHT_DIGITS) return putFirst(at, u32(value));
  const high = value / EIGHT_DIGITS;
  const low = u32(value - high * EIGHT_DIGITS);
  if (high < EIGHT_DIGITS) return putEight(putFirst(at, u32(high)), low);
  const highest = high / EIGHT_DIGITS;
  const to = putFirst(at, u32(highest));
  return putEight(putEight(to, u32(high - highest * EIGHT_DIGITS)), low);
}

function putEight(at: usize, value: u32): usize {
  store<u64>(at, eightDigits(value) | ZEROS);
  return at + 8;
}

/** Up to eight digits without leading zeros; writes eight bytes. */
function putFirst(at: usize, value: u32): usize {
  const digits = eightDigits(value);
  const zeros = ctz<u64>(digits | LAST_DIGIT) & ~7;
  store<u64>(at, (digits | ZEROS) >>> zeros);
  return at + 8 - usize(zeros >>> 3);
}

/** One digit per byte, the first one lowest: halves, quarters and eighths of the number side by side. */
function eightDigits(value: u32): u64 {
  const fours = u64(value / 10000) | (u64(value % 10000) << 32);
  const hundreds = ((fours * 10486) >>> 20) & 0x0000007f0000007f;
  const twos = hundreds | ((fours - hundreds * 100) << 16);
  const tens = ((twos * 103) >>> 10) & 0x000f000f000f000f;
  return tens | ((twos - tens * 10) << 8);
}
