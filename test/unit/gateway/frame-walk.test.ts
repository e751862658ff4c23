// Frame ends in a byte stream, against a model that knows where every frame begins.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameWalk } from '../../../switchover/gateway/frame-walk.ts';

const framed = (size: number): Buffer => {
  const frame = Buffer.alloc(4 + size, 0x7f);
  frame.writeInt32BE(size, 0);
  return frame;
};

const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 60 });

function* chunksOf(bytes: Buffer, lengths: number[]): Generator<[Buffer, number]> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    const chunk = bytes.subarray(at, at + length);
    at += chunk.length;
    yield [chunk, at];
  }
}

describe('frame ends', () => {
  test('are known however the bytes are cut', () => {
    fc.assert(
      fc.property(sizes, cuts, (frameSizes, lengths) => {
        const ends = new Set<number>();
        const frames = frameSizes.map(framed);
        frames.reduce((at, frame) => {
          ends.add(at + frame.length);
          return at + frame.length;
        }, 0);
        const walk = new FrameWalk();
        for (const [chunk, at] of chunksOf(Buffer.concat(frames), lengths)) {
          walk.pass(chunk);
          expect(walk.isAtBoundary).toBe(ends.has(at));
        }
      }),
    );
  });

  test('a frame that has begun is passed to its end and no byte further', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1 }), (size, cut) => {
        const frame = framed(size);
        const begun = 1 + (cut % (frame.length - 1));
        const walk = new FrameWalk();
        walk.pass(frame.subarray(0, begun));
        expect(walk.isAtBoundary).toBe(false);
        const rest = Buffer.concat([frame.subarray(begun), framed(7)]);
        expect(walk.passOne(rest, 0)).toBe(frame.length - begun);
        expect(walk.isAtBoundary).toBe(true);
      }),
    );
  });

  test('what has no frames is lost track of and never at a boundary', () => {
    for (const head of [
      [0, 0, 0, 0],
      [0x80, 0, 0, 1],
      // The start of a TLS handshake.
      [0x16, 3, 1, 2],
    ]) {
      const walk = new FrameWalk();
      walk.pass(framed(3));
      walk.pass(Buffer.from([...head, 1, 2, 3]));
      expect(walk.isLost).toBe(true);
      expect(walk.isAtBoundary).toBe(false);
      expect(walk.passOne(framed(1), 0)).toBe(5);
    }
  });
});
