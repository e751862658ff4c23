// CRC-32 of the kernel against zlib: every length up to a few steps of either road, every
// alignment, and long ones.
import * as crypto from 'node:crypto';
import * as zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { RecordKernel } from '../../../core-broker/kernel/index.ts';

test('the CRC of the kernel is that of zlib, at every length and alignment', () => {
  const kernel = new RecordKernel(8192, false);
  const { bytes } = kernel;
  crypto.randomFillSync(bytes);
  for (let length = 0; length < 600; length++) {
    for (let start = 0; start < 16; start++) {
      const wanted = zlib.crc32(bytes.subarray(start, start + length));
      expect(kernel.crc32(start, start + length)).toBe(wanted);
    }
  }
  for (let length = 600; length < 8000; length += 61) {
    const wanted = zlib.crc32(bytes.subarray(3, 3 + length));
    expect(kernel.crc32(3, 3 + length)).toBe(wanted);
  }
});
