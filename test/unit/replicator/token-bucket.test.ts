import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenBucket } from '../../../replicator/stream/token-bucket.ts';

test('whatever the chunks, the mean rate never passes the cap by more than the burst', () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 5, maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 10_000_000 }), chunks, (rate, sizes) => {
      const bucket = new TokenBucket(rate, 0);
      let nowMs = 0;
      let taken = 0;
      for (const size of sizes) {
        taken += size;
        nowMs += bucket.take(size, nowMs);
      }
      const allowed = (rate * nowMs) / 1000 + rate * 0.1 + 1;
      expect(taken).toBeLessThanOrEqual(allowed);
    }),
  );
});

test('a chunk is waited for exactly as long as the cap says', () => {
  const bucket = new TokenBucket(1_000_000, 0);
  expect(bucket.take(500_000, 0)).toBe(500);
  expect(bucket.take(100_000, 500)).toBe(100);
});

test('no cap never waits', () => {
  const bucket = new TokenBucket(0, 0);
  expect(bucket.take(1e9, 0)).toBe(0);
});
