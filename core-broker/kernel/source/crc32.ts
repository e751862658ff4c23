// CRC-32 (IEEE) of bytes in the memory: slicing-by-16, sixteen table look-ups and four word loads a step.
// The tables lie at TABLES; prepare() fills them once per memory.
// AssemblyScript: TypeScript's syntax with WebAssembly's types. `npm run kernels` compiles it.

/** Sixteen tables of 256 words: [1024, 17408) of the memory belongs to this file. */
export const TABLES: usize = 1024;
export const TABLES_END: usize = TABLES + 16 * 1024;
const SLICE: usize = 1024;

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
}

/** Unsigned CRC-32 of bytes [from, to). */
export function crc32(from: usize, to: usize): u32 {
  let c: u32 = 0xffffffff;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    const low = load<u64>(at) ^ u64(c);
    const high = load<u64>(at, 8);
    c = words(low, 8 * SLICE) ^ words(high, 0);
  }
  for (; at < to; at++) c = (c >>> 8) ^ load<u32>(TABLES + (((c ^ load<u8>(at)) & 0xff) << 2));
  return ~c;
}

/** What eight bytes add to the CRC when `slices / 1024` bytes follow them in their step. */
function words(bytes: u64, slices: usize): u32 {
  return (
    slice(bytes, slices + 7 * SLICE) ^
    slice(bytes >>> 8, slices + 6 * SLICE) ^
    (slice(bytes >>> 16, slices + 5 * SLICE) ^ slice(bytes >>> 24, slices + 4 * SLICE)) ^
    (slice(bytes >>> 32, slices + 3 * SLICE) ^ slice(bytes >>> 40, slices + 2 * SLICE)) ^
    (slice(bytes >>> 48, slices + SLICE) ^ slice(bytes >>> 56, slices))
  );
}

function slice(bytes: u64, table: usize): u32 {
  return load<u32>(((usize(bytes) & 0xff) << 2) + table + TABLES);
}
