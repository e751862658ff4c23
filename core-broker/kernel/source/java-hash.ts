// Java's String.hashCode over ASCII text in the memory, sixteen bytes a step: pairs by a dot product,
// pairs by powers of 31^2, and what was before by 31^16. Of a last step only the bytes that are left count.
// Memory: powers of 31 at [896, 960), between the tables of braid.ts and those of crc32.ts.
// Invariant: `isPlain` is false after text with a byte above 127; the hash then means nothing.

const POWER_16: u32 = 0x50a9de01;
const POWERS: usize = 896;

/** Fills the table. */
export function preparePowers(): void {
  let power: u32 = 1;
  for (let n: usize = 0; n < 16; n++, power *= 31) store<u32>(POWERS + (n << 2), power);
}

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
  if (at < to) {
    const rest = to - at;
    const places = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const isOurs = i8x16.ge_s(places, i8x16.splat(i8(16 - rest)));
    const bytes = v128.and(v128.load(to - 16), isOurs);
    high |= u32(i8x16.bitmask(bytes));
    h = h * load<u32>(POWERS + (rest << 2)) + ofSixteen(bytes);
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
