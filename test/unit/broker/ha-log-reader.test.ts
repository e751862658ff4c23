// Pieces that the HA port reads ahead: in order, without a hole, inside one file, and full ones end where
// whoever copies them can write whole blocks.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LogReader } from '../../../core-broker/broker/ha/log-reader.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';

const KIB = 1024;
const ALIGN = 256 * KIB;

/** A log of zeros that ends at `end`. */
function logOf(end: number): MessageStore {
  const part: Partial<MessageStore> = {
    storeBounds: () =>
      ({ minOffset: 0, dispatchedOffset: end }) as ReturnType<MessageStore['storeBounds']>,
    readLog: async (_offset, length, into) => into?.subarray(0, length),
  };
  return part as MessageStore;
}

async function piecesOf(from: number, end: number, shape: { file: number; piece: number }) {
  const store = logOf(end);
  const options = { store, fileSize: shape.file, offset: from, pieceBytesMax: shape.piece };
  const reader = new LogReader(options);
  const pieces: [number, number][] = [];
  for (;;) {
    const piece = await reader.next();
    if (piece === undefined) return pieces;
    pieces.push([piece.offset, piece.offset + piece.bytes.length]);
    piece.release();
  }
}

test('a log read from byte 1 comes in pieces that end at whole blocks', async () => {
  const shape = { file: 16 * 1024 * KIB, piece: 1024 * KIB };
  const pieces = await piecesOf(1, 5 * 1024 * KIB + 77, shape);
  expect(pieces[0]).toEqual([1, 1024 * KIB]);
  expect(pieces).toHaveLength(6);
  for (const [, end] of pieces.slice(0, -1)) expect(end % ALIGN).toBe(0);
});

test('any log from any place: every byte once, in order, never across a file or above the limit', async () => {
  const whole = fc.record({
    from: fc.nat(3_000 * KIB),
    length: fc.nat(9_000 * KIB),
    file: fc.integer({ min: 100, max: 4_000 }).map((kib) => kib * KIB + 12),
    piece: fc.integer({ min: 1, max: 4_096 * KIB }),
  });
  await fc.assert(
    fc.asyncProperty(whole, async ({ from, length, file, piece }) => {
      // Tiny pieces of a long log would only take long.
      const end = from + Math.min(length, 50 * piece);
      let next = from;
      for (const [start, to] of await piecesOf(from, end, { file, piece })) {
        expect(start).toBe(next);
        expect(to).toBeGreaterThan(start);
        expect(to - start).toBeLessThanOrEqual(piece);
        expect(Math.floor((to - 1) / file)).toBe(Math.floor(start / file));
        next = to;
      }
      expect(next).toBe(end);
    }),
    { numRuns: 40 },
  );
});
