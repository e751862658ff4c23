// CRC-32 of the kernel against zlib: every length up to a few steps, every alignment.
import * as crypto from 'node:crypto';
import * as zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { RecordKernel } from '../../../core-broker/kernel/index.ts';

test('the CRC of the kernel is that of zlib, at every length and alignment', () => {
  const kernel = new RecordKernel(8192, false);
  const { bytes } = kernel;
  crypto.randomFillSync(bytes);
  for (let length = 0; length < 300; length++) {
    for (let start = 0; start < 16; start++) {
      const wanted = zlib.crc32(bytes.subarray(start, start + length));
      expect(kernel.crc32(start, start + length)).toBe(wanted);
    }
  }
  expect(kernel.crc32(3, 8003)).toBe(zlib.crc32(bytes.subarray(3, 8003)));
});
