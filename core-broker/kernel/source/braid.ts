// The long part of a CRC-32 as sixteen CRCs side by side: word k of every block of 64 bytes belongs to
// strand k, and a step moves all strands 64 bytes on. That is a linear map of 32 bits: each of the eight
// nibbles of a strand is looked up in four tables of sixteen bytes, one for each byte of the result, and
// one instruction looks up the nibbles of all strands. So the strands lie as four vectors of bytes.
// At the end the strands are put over the last block; the CRC of that block alone is the CRC of all.
// Memory: tables at [256, 768), SCRATCH at [832, 896), below the tables of crc32.ts.

/** Bytes of a step. */
export const BLOCK: usize = 64;
/** The last block with the strands over it. */
export const SCRATCH: usize = 832;
const NIBBLES: usize = 256;

/** Tables of nibbles: for byte j, result byte k and half h at ((j * 4 + k) * 2 + h) * 16. */
export function prepareBraid(tables: usize): void {
  for (let j: usize = 0; j < 4; j++) {
    for (let n: u32 = 0; n < 32; n++) {
      const half = n >>> 4;
      let c = load<u32>(tables + ((half === 0 ? n : (n & 15) << 4) << 2));
      for (let zeros = BLOCK - 1 - j; zeros > 0; zeros--)
        c = (c >>> 8) ^ load<u32>(tables + ((c & 0xff) << 2));
      for (let k: usize = 0; k < 4; k++) {
        const table = NIBBLES + (((j << 2) + k) << 5) + (half << 4);
        store<u8>(table + (n & 15), u8(c >>> (u32(k) << 3)));
      }
    }
  }
}

/** Leaves at SCRATCH what has the raw CRC, begun with 0, of [from, to) begun with all ones; whole blocks. */
export function braided(from: usize, to: usize): void {
  // Strand 0 begins with all ones: lane 0 of each vector.
  const first = i32x4(0xff, 0, 0, 0);
  let strand0 = first;
  let strand1 = first;
  let strand2 = first;
  let strand3 = first;
  const last = to - BLOCK;
  for (let at = from; at < last; at += BLOCK) {
    const a = byPlace(v128.load(at));
    const b = byPlace(v128.load(at, 16));
    const c = byPlace(v128.load(at, 32));
    const d = byPlace(v128.load(at, 48));
    const x0 = v128.xor(lows(lows4(a, b), lows4(c, d)), strand0);
    const x1 = v128.xor(highs(lows4(a, b), lows4(c, d)), strand1);
    const x2 = v128.xor(lows(highs4(a, b), highs4(c, d)), strand2);
    const x3 = v128.xor(highs(highs4(a, b), highs4(c, d)), strand3);
    const low0 = lowHalf(x0);
    const high0 = highHalf(x0);
    const low1 = lowHalf(x1);
    const high1 = highHalf(x1);
    const low2 = lowHalf(x2);
    const high2 = highHalf(x2);
    const low3 = lowHalf(x3);
    const high3 = highHalf(x3);
    strand0 = sum(
      moved(low0, high0, 0),
      moved(low1, high1, 128),
      moved(low2, high2, 256),
      moved(low3, high3, 384),
    );
    strand1 = sum(
      moved(low0, high0, 32),
      moved(low1, high1, 160),
      moved(low2, high2, 288),
      moved(low3, high3, 416),
    );
    strand2 = sum(
      moved(low0, high0, 64),
      moved(low1, high1, 192),
      moved(low2, high2, 320),
      moved(low3, high3, 448),
    );
    strand3 = sum(
      moved(low0, high0, 96),
      moved(low1, high1, 224),
      moved(low2, high2, 352),
      moved(low3, high3, 480),
    );
  }
  v128.store(SCRATCH, strand0);
  v128.store(SCRATCH, strand1, 16);
  v128.store(SCRATCH, strand2, 32);
  v128.store(SCRATCH, strand3, 48);
  putOver(last);
}

/** The strands at SCRATCH, as words again, over the last block. */
function putOver(last: usize): void {
  const strand0 = v128.load(SCRATCH);
  const strand1 = v128.load(SCRATCH, 16);
  const strand2 = v128.load(SCRATCH, 32);
  const strand3 = v128.load(SCRATCH, 48);
  const ab = lows4(strand0, strand1);
  const cd = lows4(strand2, strand3);
  const ef = highs4(strand0, strand1);
  const gh = highs4(strand2, strand3);
  v128.store(SCRATCH, v128.xor(byPlace(lows(ab, cd)), v128.load(last)));
  v128.store(SCRATCH, v128.xor(byPlace(highs(ab, cd)), v128.load(last, 16)), 16);
  v128.store(SCRATCH, v128.xor(byPlace(lows(ef, gh)), v128.load(last, 32)), 32);
  v128.store(SCRATCH, v128.xor(byPlace(highs(ef, gh)), v128.load(last, 48)), 48);
}

/** What one byte of all strands puts into one of them 64 bytes later; the table says which into which. */
function moved(low: v128, high: v128, table: usize): v128 {
  return v128.xor(found(table, low), found(table + 16, high));
}

function lowHalf(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

function highHalf(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

/** Sixteen look-ups. The indexes are below 16, where the relaxed instruction is exact on every machine. */
function found(table: usize, nibbles: v128): v128 {
  return i8x16.relaxed_swizzle(v128.load(table, NIBBLES), nibbles);
}

function sum(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.xor(v128.xor(a, b), v128.xor(c, d));
}

/** Four words: their first bytes, their second ones ... and back. */
function byPlace(words: v128): v128 {
  return i8x16.shuffle(words, words, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

function lows4(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 0, 4, 1, 5);
}

function highs4(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 2, 6, 3, 7);
}

function lows(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 0, 2);
}

function highs(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 1, 3);
}
