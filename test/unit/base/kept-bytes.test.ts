// Bytes that tables keep own their memory: nothing of a shared slab stays alive through them.
import { expect, test } from 'vitest';
import { keptBytes } from '../../../core-broker/base/index.ts';

test('kept bytes are the parts in a row, in memory of their own', () => {
  const kept = keptBytes('ab', Buffer.from('c\u00e9'), '');
  expect(kept.toString()).toBe('abc\u00e9');
  expect(kept.buffer.byteLength).toBe(kept.length);
  // What it stands for: this one holds a slab.
  expect(Buffer.from('ab').buffer.byteLength).toBeGreaterThan(1_024);
});
