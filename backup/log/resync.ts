// Finds where a log goes on behind bytes that are no record: tells a torn end from damage in the middle.
// Looks for the record magic whose record says exactly the offset it stands at.
import * as fs from 'node:fs';
import { emptyView, RECORD_BYTES_MAX, RECORD_HEAD_BYTES, readLong, readRecord } from './record.ts';
import type { ScanInput } from './scan.ts';

const WINDOW_BYTES = 8 * 1024 * 1024;
/** Smaller: most of what is read here is zeros, and they should stay in the processor's cache. */
const ZERO_WINDOW_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(WINDOW_BYTES);
const MAGICS = [Buffer.from([0xda, 0xa3, 0x20, 0xa7]), Buffer.from([0xda, 0xa3, 0x20, 0xab])];

/**
 * Physical offset behind the damage at `at`: the end of a record whose frame is whole and whose body is
 * not, or the next valid record. Undefined when nothing follows: a torn end, or none.
 */
export async function endOfDamage(input: ScanInput, at: number): Promise<number | undefined> {
  const handle = await fs.promises.open(input.path, 'r');
  try {
    const framed = await readWhole(handle, input, { physicalOffset: at, checkBody: false });
    return framed === undefined ? await findNext(handle, input, at + 1) : at + framed;
  } finally {
    await handle.close();
  }
}

/** Physical offset of the first valid record at or behind `from`; undefined when there is none. */
export async function nextRecord(input: ScanInput, from: number): Promise<number | undefined> {
  const handle = await fs.promises.open(input.path, 'r');
  try {
    return await findNext(handle, input, from);
  } finally {
    await handle.close();
  }
}

/** Physical offset behind the last byte of the file that is not zero; the file's start without one. */
export async function endOfBytes(input: ScanInput): Promise<number> {
  const handle = await fs.promises.open(input.path, 'r');
  try {
    const window = Buffer.alloc(Math.min(ZERO_WINDOW_BYTES, input.sizeBytes));
    for (let end = input.sizeBytes; end > 0; end -= window.length) {
      const start = Math.max(0, end - window.length);
      const { bytesRead } = await handle.read(window, 0, end - start, start);
      const bytes = window.subarray(0, bytesRead);
      if (bytes.equals(ZEROS.subarray(0, bytesRead))) continue;
      return input.startOffset + start + 1 + bytes.findLastIndex((byte) => byte !== 0);
    }
    return input.startOffset;
  } finally {
    await handle.close();
  }
}

async function findNext(handle: fs.promises.FileHandle, input: ScanInput, from: number) {
  const leftBytes = input.startOffset + input.sizeBytes - from;
  const window = Buffer.alloc(Math.max(0, Math.min(WINDOW_BYTES, leftBytes)));
  const step = WINDOW_BYTES - RECORD_HEAD_BYTES + 1;
  for (let at = from - input.startOffset; at < input.sizeBytes; at += step) {
    const { bytesRead } = await handle.read(window, 0, window.length, at);
    if (bytesRead < RECORD_HEAD_BYTES) return undefined;
    const bytes = window.subarray(0, bytesRead);
    // Files are allocated ahead: most of what is behind an end was never written.
    if (bytes.equals(ZEROS.subarray(0, bytesRead))) continue;
    const found = await firstRecord({ handle, input, bytes, base: input.startOffset + at });
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Window {
  handle: fs.promises.FileHandle;
  input: ScanInput;
  bytes: Buffer;
  base: number;
}

async function firstRecord({ handle, input, bytes, base }: Window): Promise<number | undefined> {
  let at = seekHead(bytes, 0, base);
  while (at !== undefined) {
    const physicalOffset = base + at;
    const size = await readWhole(handle, input, { physicalOffset, checkBody: true });
    if (size !== undefined) return physicalOffset;
    at = seekHead(bytes, at + 1, base);
  }
  return undefined;
}

/**
 * Index of the first record head at or behind `from` that says the offset it stands at.
 * @param base  physical offset of bytes[0]
 */
export function seekHead(bytes: Buffer, from: number, base: number): number | undefined {
  let best: number | undefined;
  for (const magic of MAGICS) {
    const end = best === undefined ? bytes.length : best + RECORD_HEAD_BYTES;
    best = seekMagic(bytes.subarray(0, end), magic, { from, base }) ?? best;
  }
  return best;
}

function seekMagic(
  bytes: Buffer,
  magic: Buffer,
  { from, base }: { from: number; base: number },
): number | undefined {
  let at = bytes.indexOf(magic, from + 4);
  while (at >= 0) {
    const start = at - 4;
    if (start + RECORD_HEAD_BYTES > bytes.length) return undefined;
    if (readLong(bytes, start + 28) === base + start) return start;
    at = bytes.indexOf(magic, at + 1);
  }
  return undefined;
}

/** Size of the record at an offset; undefined when there is none. */
async function readWhole(
  handle: fs.promises.FileHandle,
  input: ScanInput,
  { physicalOffset, checkBody }: { physicalOffset: number; checkBody: boolean },
): Promise<number | undefined> {
  const position = physicalOffset - input.startOffset;
  const size = Buffer.alloc(4);
  await handle.read(size, 0, 4, position);
  const sizeBytes = size.readInt32BE(0);
  if (sizeBytes <= 0 || sizeBytes > RECORD_BYTES_MAX) return undefined;
  if (position + sizeBytes > input.sizeBytes) return undefined;
  const bytes = Buffer.alloc(sizeBytes);
  const { bytesRead } = await handle.read(bytes, 0, sizeBytes, position);
  const place = { bytes, at: 0, end: bytesRead, physicalOffset, checkBody };
  const isRecord = readRecord(place, emptyView()) === 'record';
  return isRecord ? sizeBytes : undefined;
}
