// CRC-32 (IEEE) of byte ranges without slicing: slicing-by-8 in JavaScript for short ranges, zlib above.
// Why two: the call into native code costs more than 256 bytes of table look-ups.
// Records store only 31 bits of it: see bodyCrc.
import * as zlib from 'node:zlib';

const NATIVE_FROM_BYTES = 256;
const TABLES = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    tables[n] = c;
  }
  for (let n = 256; n < 8 * 256; n++) {
    const previous = tables[n - 256] ?? 0;
    tables[n] = (previous >>> 8) ^ (tables[previous & 0xff] ?? 0);
  }
  return tables;
}

/** Unsigned CRC-32 of bytes [start, end). */
export function crc32(bytes: Buffer, start = 0, end: number = bytes.length): number {
  if (end - start >= NATIVE_FROM_BYTES) return zlib.crc32(bytes.subarray(start, end));
  return crc32InScript(bytes, start, end);
}

/** CRC as a record and a register request carry it: the sign bit is cleared. */
export const bodyCrc = (bytes: Buffer, start = 0, end: number = bytes.length): number =>
  crc32(bytes, start, end) & 0x7fffffff;

function crc32InScript(bytes: Buffer, start: number, end: number): number {
  const t = TABLES;
  let c = -1;
  let i = start;
  for (const fast = end - 7; i < fast; i += 8) {
    const low =
      c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    c =
      t[1792 + (low & 0xff)]! ^
      t[1536 + ((low >>> 8) & 0xff)]! ^
      t[1280 + ((low >>> 16) & 0xff)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^
      t[512 + bytes[i + 5]!]! ^
      t[256 + bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]!) & 0xff]!;
  return ~c >>> 0;
}
