// Compares a frame with a shape, sixteen bytes at a time, and reads its numbers.
// A property value must be plain text: nothing below blank, no quote, no backslash, no byte above 0x7f.
import {
  BLOCK_BYTES,
  FRAME,
  FRAME_BORN,
  FRAME_OPAQUE,
  FRAME_QUEUE,
  SHAPE_BLOCKS,
  SHAPE_BLOCKS_END,
  SHAPE_BORN,
  SHAPE_HEADER,
  SHAPE_IS_BINARY,
  SHAPE_OPAQUE,
  SHAPE_QUEUE,
  SHAPE_TEXT_END,
  SHAPE_TEXT_FROM,
  SHAPE_TYPE,
} from '../send-layout';

/** Length of the frame, type and length of its header. */
export const PREFIX: usize = 8;
const DIGITS_MAX: usize = 15;
const INT_MAX: i64 = 0x7fffffff;

/** True when the header of the frame [at, stop) differs from the shape's only in its holes. */
export function fits(shape: usize, at: usize, stop: usize): bool {
  if (load<u32>(at, 4) !== load<u32>(shape, SHAPE_TYPE)) return false;
  const header = at + PREFIX;
  if (load<usize>(shape, SHAPE_HEADER) > stop - header) return false;
  const first = shape + SHAPE_BLOCKS;
  const texts = first + load<usize>(shape, SHAPE_TEXT_FROM);
  const behind = first + load<usize>(shape, SHAPE_TEXT_END);
  const end = first + load<usize>(shape, SHAPE_BLOCKS_END);
  let odd = i64x2.splat(0);
  let from = header;
  let block = first;
  for (; block < texts; block += BLOCK_BYTES, from += 16)
    odd = v128.or(odd, difference(v128.load(from), block));
  for (; block < behind; block += BLOCK_BYTES, from += 16) {
    const bytes = v128.load(from);
    const isOdd = v128.and(oddBytes(bytes), v128.load(block, 32));
    odd = v128.or(odd, v128.or(difference(bytes, block), isOdd));
  }
  for (; block < end; block += BLOCK_BYTES, from += 16)
    odd = v128.or(odd, difference(v128.load(from), block));
  return !v128.any_true(odd);
}

function difference(bytes: v128, block: usize): v128 {
  return v128.and(v128.xor(bytes, v128.load(block)), v128.load(block, 16));
}

/** All ones where a byte may not stand in a value; above 0x7f is below zero here. */
function oddBytes(bytes: v128): v128 {
  return v128.or(
    v128.lt<i8>(bytes, i8x16.splat(0x20)),
    v128.or(v128.eq<i8>(bytes, i8x16.splat(0x22)), v128.eq<i8>(bytes, i8x16.splat(0x5c))),
  );
}

/** Puts queue, born time and opaque into FRAME. @returns false when one of them is not plainly a number */
export function readNumbers(shape: usize, header: usize): bool {
  const queueId = number(header, shape + SHAPE_QUEUE);
  const born = number(header, shape + SHAPE_BORN);
  let opaque: i64 = 0;
  if (load<u32>(shape, SHAPE_IS_BINARY) !== 0) {
    opaque = i64(bswap<i32>(load<i32>(header + load<usize>(shape, SHAPE_OPAQUE))));
  } else {
    opaque = number(header, shape + SHAPE_OPAQUE);
    if (opaque < 0) return false;
  }
  if (queueId < 0 || born < 0 || queueId > INT_MAX || opaque > INT_MAX) return false;
  store<i64>(FRAME + FRAME_BORN, born);
  store<i32>(FRAME + FRAME_QUEUE, i32(queueId));
  store<i32>(FRAME + FRAME_OPAQUE, i32(opaque));
  return true;
}

/** A number of up to 15 digits without a sign or leading zeros; -1 = something else stands there. */
function number(header: usize, hole: usize): i64 {
  const from = header + load<usize>(hole);
  const length = load<usize>(hole, 4);
  const first = u32(load<u8>(from)) - 0x30;
  if (length === 1) return first > 9 ? -1 : i64(first);
  if (length === 0 || length > DIGITS_MAX || first === 0) return -1;
  // Sixteen bytes up to the last digit; what stands before the first one counts as zero.
  const places = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const isOurs = i8x16.ge_s(places, i8x16.splat(i8(16 - length)));
  const bytes = i8x16.sub(v128.load(from + length - 16), i8x16.splat(0x30));
  const digits = v128.and(bytes, isOurs);
  if (v128.any_true(i8x16.gt_u(digits, i8x16.splat(9)))) return -1;
  return ofDigits(digits);
}

/** Neighbours joined three times. A digit and its weight are below 128, where the relaxed instruction is exact. */
function ofDigits(digits: v128): i64 {
  const tens = i8x16(10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1);
  const twos = i16x8.relaxed_dot_i8x16_i7x16_s(digits, tens);
  const fours = i32x4.dot_i16x8_s(twos, i16x8(100, 1, 100, 1, 100, 1, 100, 1));
  const packed = i16x8.narrow_i32x4_s(fours, fours);
  const eights = i32x4.dot_i16x8_s(packed, i16x8(10000, 1, 10000, 1, 10000, 1, 10000, 1));
  return i64(i32x4.extract_lane(eights, 0)) * 100000000 + i64(i32x4.extract_lane(eights, 1));
}
