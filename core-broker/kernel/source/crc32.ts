// CRC-32 (IEEE) of bytes in the memory. Two roads: slicing-by-16, four word loads and sixteen look-ups a
// step, and for longer bytes the braid of braid.ts, which looks up sixteen nibbles with one instruction.
// The tables lie at TABLES; prepare() fills them once per memory.
// AssemblyScript: TypeScript's syntax with WebAssembly's types. `npm run kernels` compiles it.
import { BLOCK, braided, prepareBraid, SCRATCH } from './braid';
import { preparePowers } from './java-hash';

/** Sixteen tables of 256 words: [1024, 17408) of the memory belongs to this file, [256, 896) to braid.ts. */
export const TABLES: usize = 1024;
export const TABLES_END: usize = TABLES + 16 * 1024;
const SLICE: usize = 1024;
/** Below that the slices are quicker: a braid costs a few steps to end. */
const BRAIDED_BYTES_MIN: usize = 160;

/** Fills the tables. */
export function prepare(): void {
  for (let n: u32 = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    store<u32>(TABLES + (n << 2), c);
  }
  for (let n: u32 = 256; n < 4096; n++) {
    const previous = load<u32>(TABLES + ((n - 256) << 2));
    const next = (previous >>> 8) ^ load<u32>(TABLES + ((previous & 0xff) << 2));
    store<u32>(TABLES + (n << 2), next);
  }
  prepareBraid(TABLES);
  preparePowers();
}

/** Unsigned CRC-32 of bytes [from, to). */
export function crc32(from: usize, to: usize): u32 {
  if (to - from < BRAIDED_BYTES_MIN) return ~sliced(0xffffffff, from, to);
  const rest = from + ((to - from) & ~(BLOCK - 1));
  braided(from, rest);
  return ~sliced(sliced(0, SCRATCH, SCRATCH + BLOCK), rest, to);
}

/** Continues the raw CRC `start` over bytes [from, to). */
function sliced(start: u32, from: usize, to: usize): u32 {
  let c = start;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    const a = load<u32>(at) ^ c;
    const b = load<u32>(at, 4);
    const d = load<u32>(at, 8);
    const e = load<u32>(at, 12);
    // Why `>>> 6 & 0x3fc` and not `>>> 8 & 0xff` times four: one operation less for each byte.
    c =
      load<u32>((b << 2) & 0x3fc, TABLES + 11 * SLICE) ^
      load<u32>((b >>> 6) & 0x3fc, TABLES + 10 * SLICE) ^
      (load<u32>((b >>> 14) & 0x3fc, TABLES + 9 * SLICE) ^
        load<u32>((b >>> 22) & 0x3fc, TABLES + 8 * SLICE)) ^
      (load<u32>((d << 2) & 0x3fc, TABLES + 7 * SLICE) ^
        load<u32>((d >>> 6) & 0x3fc, TABLES + 6 * SLICE) ^
        (load<u32>((d >>> 14) & 0x3fc, TABLES + 5 * SLICE) ^
          load<u32>((d >>> 22) & 0x3fc, TABLES + 4 * SLICE))) ^
      (load<u32>((e << 2) & 0x3fc, TABLES + 3 * SLICE) ^
        load<u32>((e >>> 6) & 0x3fc, TABLES + 2 * SLICE) ^
        (load<u32>((e >>> 14) & 0x3fc, TABLES + SLICE) ^ load<u32>((e >>> 22) & 0x3fc, TABLES))) ^
      (load<u32>((a << 2) & 0x3fc, TABLES + 15 * SLICE) ^
        load<u32>((a >>> 6) & 0x3fc, TABLES + 14 * SLICE) ^
        (load<u32>((a >>> 14) & 0x3fc, TABLES + 13 * SLICE) ^
          load<u32>((a >>> 22) & 0x3fc, TABLES + 12 * SLICE)));
  }
  for (; at < to; at++) c = (c >>> 8) ^ load<u32>(((c ^ load<u8>(at)) & 0xff) << 2, TABLES);
  return c;
}
