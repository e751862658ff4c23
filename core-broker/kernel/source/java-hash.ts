// Java's String.hashCode over ASCII text in the memory, sixteen bytes a step: pairs by a dot product,
// pairs by powers of 31^2, and what was before by 31^16.
// Invariant: `isPlain` is false after text with a byte above 127; the hash then means nothing.

const POWER_16: u32 = 0x50a9de01;

/** Whether the text that was hashed last is ASCII. */
export let isPlain: bool = true;

/** Continues `hash` over bytes [from, to). */
export function javaHash(hash: u32, from: usize, to: usize): u32 {
  let h = hash;
  let at = from;
  let high: u32 = 0;
  for (; at + 16 <= to; at += 16) {
    const bytes = v128.load(at);
    high |= u32(i8x16.bitmask(bytes));
    h = h * POWER_16 + ofSixteen(bytes);
  }
  for (; at < to; at++) {
    const byte = u32(load<u8>(at));
    high |= byte & 0x80;
    h = h * 31 + byte;
  }
  isPlain = high === 0;
  return h;
}

function ofSixteen(bytes: v128): u32 {
  const weights = i16x8(31, 1, 31, 1, 31, 1, 31, 1);
  const first = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(bytes), weights);
  const last = i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(bytes), weights);
  const sums = i32x4.add(
    i32x4.mul(first, i32x4(0x59db6a41, 0xee830681, 0x94e4b2c1, 0x94446f01)),
    i32x4.mul(last, i32x4(0x34e63b41, 0x000e1781, 0x000003c1, 1)),
  );
  const halves = i32x4.add(sums, i32x4.shuffle(sums, sums, 2, 3, 0, 1));
  return u32(i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1));
}
