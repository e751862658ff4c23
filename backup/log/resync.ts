// Tells a torn end from damage in the middle: is there a valid record behind bytes that are none?
// Looks for the record magic whose record says exactly the offset it stands at.
import * as fs from 'node:fs';
import { emptyView, readLong, readRecord } from './record.ts';
import type { ScanInput } from './scan.ts';

const WINDOW_BYTES = 8 * 1024 * 1024;
const MAGICS = [Buffer.from([0xda, 0xa3, 0x20, 0xa7]), Buffer.from([0xda, 0xa3, 0x20, 0xab])];
/** Bytes of a record that hold its magic and physical offset. */
const HEAD_BYTES = 36;

/** Physical offset of the first valid record at or behind `from`, or undefined. */
export async function findNextRecord(input: ScanInput, from: number): Promise<number | undefined> {
  const handle = await fs.promises.open(input.path, 'r');
  try {
    const window = Buffer.alloc(WINDOW_BYTES);
    for (let at = from - input.startOffset; at < input.sizeBytes; at += WINDOW_BYTES - HEAD_BYTES) {
      const { bytesRead } = await handle.read(window, 0, WINDOW_BYTES, at);
      if (bytesRead < HEAD_BYTES) return undefined;
      const base = input.startOffset + at;
      for (const candidate of candidatesIn(window.subarray(0, bytesRead), base)) {
        if (await isRecord(handle, input, candidate)) return candidate;
      }
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

function candidatesIn(bytes: Buffer, base: number): number[] {
  const found: number[] = [];
  for (const magic of MAGICS) {
    let at = bytes.indexOf(magic);
    while (at >= 0) {
      const start = at - 4;
      const fits = start >= 0 && start + HEAD_BYTES <= bytes.length;
      if (fits && readLong(bytes, start + 28) === base + start) found.push(base + start);
      at = bytes.indexOf(magic, at + 1);
    }
  }
  return found.sort((a, b) => a - b);
}

async function isRecord(handle: fs.promises.FileHandle, input: ScanInput, physicalOffset: number) {
  const position = physicalOffset - input.startOffset;
  const size = Buffer.alloc(4);
  await handle.read(size, 0, 4, position);
  const sizeBytes = size.readInt32BE(0);
  if (sizeBytes <= 0 || position + sizeBytes > input.sizeBytes) return false;
  const bytes = Buffer.alloc(sizeBytes);
  const { bytesRead } = await handle.read(bytes, 0, sizeBytes, position);
  const place = { bytes, at: 0, end: bytesRead, physicalOffset };
  return readRecord(place, emptyView()) === 'record';
}
