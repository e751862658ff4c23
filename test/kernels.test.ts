// A WebAssembly module is what its source says: compiled again and compared, byte for byte.
import * as fs from 'node:fs';
import { expect, test } from 'vitest';
import { binaryFile, compileKernel, MODULES } from './support/kernels.ts';

test.each(MODULES)(
  'the binary of %s is what its source compiles to',
  async (name) => {
    expect(fs.readFileSync(binaryFile(name), 'utf8')).toBe(await compileKernel(name));
  },
  60_000,
);
