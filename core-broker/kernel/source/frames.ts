// Compares a frame with a shape, sixteen bytes at a time, and reads its numbers.
// A property value must be plain text: nothing below blank, no quote, no backslash, no byte above 0x7f.
import {
  BLOCK_BYTES,
  FRAME,
  FRAME_BORN,
  FRAME_OPAQUE,
  FRAME_QUEUE,
  SHAPE_BLOCK_COUNT,
  SHAPE_BLOCKS,
  SHAPE_BORN,
  SHAPE_HEADER,
  SHAPE_IS_BINARY,
  SHAPE_OPAQUE,
  SHAPE_QUEUE,
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
  const blocks = load<usize>(shape, SHAPE_BLOCK_COUNT);
  let odd = i64x2.splat(0);
  let block = shape + SHAPE_BLOCKS;
  for (let i: usize = 0; i < blocks; i++, block += BLOCK_BYTES) {
    const bytes = v128.load(header + (i << 4));
    const differs = v128.and(v128.xor(bytes, v128.load(block)), v128.load(block, 16));
    odd = v128.or(odd, v128.or(differs, v128.and(oddBytes(bytes), v128.load(block, 32))));
  }
  return !v128.any_true(odd);
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
  if (length === 0 || length > DIGITS_MAX) return -1;
  let value: i64 = 0;
  for (let at = from; at < from + length; at++) {
    const digit = u32(load<u8>(at)) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + i64(digit);
  }
  return length > 1 && load<u8>(from) === 0x30 ? -1 : value;
}
