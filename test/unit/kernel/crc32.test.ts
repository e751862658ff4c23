// CRC-32 of the kernel against zlib: every length up to a few steps, every alignment.
import * as crypto from 'node:crypto';
import * as zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { crcKernel, wasmMemory } from '../../../core-broker/kernel/index.ts';

const FREE_FROM = 17_408;

test('the CRC of the kernel is that of zlib, at every length and alignment', () => {
  const memory = wasmMemory(128 * 1024);
  const kernel = crcKernel(memory);
  const bytes = Buffer.from(memory.buffer);
  crypto.randomFillSync(bytes, FREE_FROM, 8192);
  for (let length = 0; length < 300; length++) {
    for (let start = FREE_FROM; start < FREE_FROM + 16; start++) {
      const wanted = zlib.crc32(bytes.subarray(start, start + length));
      expect(kernel.crc32(start, start + length) >>> 0).toBe(wanted);
    }
  }
  const wanted = zlib.crc32(bytes.subarray(FREE_FROM, FREE_FROM + 8000));
  expect(kernel.crc32(FREE_FROM, FREE_FROM + 8000) >>> 0).toBe(wanted);
});
