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
import { copyLoose, putInt } from './bytes';

const HEX_DIGITS: usize = 16;

/** @returns the place behind the reply */
export function writeReply(at: usize, shape: usize, header: usize): usize {
  let to = copyLoose(at, shape + SHAPE_REPLY, load<usize>(shape, SHAPE_REPLY_HEAD));
  putHex(to - HEX_DIGITS, load<i64>(FRAME + FRAME_PHYSICAL));
  to = putNumber(piece(to, shape, 0), i64(load<i32>(FRAME + FRAME_QUEUE)));
  to = putNumber(piece(to, shape, 1), load<i64>(FRAME + FRAME_QUEUE_OFFSET));
  to = piece(to, shape, 2);
  const unique = header + load<usize>(shape, SHAPE_UNIQUE);
  to = copyLoose(to, unique, load<usize>(shape, SHAPE_UNIQUE + 4));
  to = putNumber(piece(to, shape, 3), i64(load<i32>(FRAME + FRAME_OPAQUE)));
  to = piece(to, shape, 4);
  putInt(at, i32(to - at - 4));
  putInt(at + 4, i32(to - at - 8));
  return to;
}

function piece(to: usize, shape: usize, n: usize): usize {
  const length = load<usize>(shape + (n << 2), SHAPE_PIECES);
  return copyLoose(to, shape + SHAPE_PIECE + n * PIECE_BYTES, length);
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
  let to = at;
  let rest = u64(value);
  if (value < 0) {
    store<u8>(to++, 0x2d);
    rest = u64(-value);
  }
  if (rest < 10) {
    store<u8>(to, u8(0x30 + rest));
    return to + 1;
  }
  const end = to + digitsOf(rest);
  let p = end;
  while (rest > 0xffffffff) {
    const next = rest / 10;
    store<u8>(--p, u8(0x30 + (rest - next * 10)));
    rest = next;
  }
  for (let small = u32(rest); p > to; ) {
    const next = small / 10;
    store<u8>(--p, u8(0x30 + (small - next * 10)));
    small = next;
  }
  return end;
}

function digitsOf(value: u64): usize {
  let digits: usize = 1;
  for (let bound: u64 = 10; value >= bound && digits < 19; bound *= 10) digits++;
  return digits;
}
