// CRC-32 (IEEE) of byte ranges without slicing: table look-ups in JavaScript for short ranges, zlib
// above. Why both: the call into native code costs more than a few hundred bytes of look-ups.
// Who has a DataView at hand gets 16 bytes per step (slicing-by-16, word loads), others 8.
// Records store only 31 bits of it: see bodyCrc.
import * as zlib from 'node:zlib';

const NATIVE_FROM_BYTES = 256;
const VIEW_NATIVE_FROM_BYTES = 400;
const SLICES = 16;
const TABLES = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(SLICES * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    tables[n] = c;
  }
  for (let n = 256; n < SLICES * 256; n++) {
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

/** bodyCrc of [start, end) of the memory under a view. */
export function bodyCrcInView(view: DataView, start: number, end: number): number {
  if (end - start < VIEW_NATIVE_FROM_BYTES) return crc32OfView(view, start, end) & 0x7fffffff;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + start, end - start);
  return zlib.crc32(bytes) & 0x7fffffff;
}

function crc32OfView(view: DataView, start: number, end: number): number {
  const t = TABLES;
  let c = -1;
  let i = start;
  for (const fast = end - 15; i < fast; i += 16) {
    const w0 = c ^ view.getInt32(i, true);
    const w1 = view.getInt32(i + 4, true);
    const w2 = view.getInt32(i + 8, true);
    const w3 = view.getInt32(i + 12, true);
    c =
      t[3840 + (w0 & 0xff)]! ^
      t[3584 + ((w0 >>> 8) & 0xff)]! ^
      (t[3328 + ((w0 >>> 16) & 0xff)]! ^ t[3072 + (w0 >>> 24)]!) ^
      (t[2816 + (w1 & 0xff)]! ^ t[2560 + ((w1 >>> 8) & 0xff)]!) ^
      (t[2304 + ((w1 >>> 16) & 0xff)]! ^ t[2048 + (w1 >>> 24)]!) ^
      (t[1792 + (w2 & 0xff)]! ^ t[1536 + ((w2 >>> 8) & 0xff)]!) ^
      (t[1280 + ((w2 >>> 16) & 0xff)]! ^ t[1024 + (w2 >>> 24)]!) ^
      (t[768 + (w3 & 0xff)]! ^ t[512 + ((w3 >>> 8) & 0xff)]!) ^
      (t[256 + ((w3 >>> 16) & 0xff)]! ^ t[w3 >>> 24]!);
  }
  for (; i < end; i++) c = (c >>> 8) ^ t[(c ^ view.getUint8(i)) & 0xff]!;
  return ~c >>> 0;
}

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
