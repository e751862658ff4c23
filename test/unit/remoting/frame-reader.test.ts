// A frame that came in two reads: whole and once, wherever it was cut; like every other frame it may go in a
// run, and the chunk behind it stays unseen then.
import { expect, test } from 'vitest';
import { FrameReader, type RunSink } from '../../../core-broker/remoting/index.ts';

const FRAME_BYTES_MAX = 1024 * 1024;

function frame(bodyBytes: number, fill: number): Buffer {
  const bytes = Buffer.alloc(8 + bodyBytes, fill);
  bytes.writeInt32BE(4 + bodyBytes);
  bytes.writeInt32BE(0, 4);
  return bytes;
}

/** Takes whole frames whose last byte it likes. */
const takes =
  (likes: (last: number) => boolean, taken: Buffer[]): RunSink =>
  (chunk, start, end) => {
    let at = start;
    while (end - at >= 4) {
      const next = at + 4 + chunk.readInt32BE(at);
      if (next > end || !likes(chunk[next - 1] as number)) break;
      taken.push(Buffer.from(chunk.subarray(at, next)));
      at = next;
    }
    return at;
  };

function readIn(likes: (last: number) => boolean) {
  const taken: Buffer[] = [];
  const shown: Buffer[] = [];
  const budget = { usedBytes: 0, maxBytes: 2 * FRAME_BYTES_MAX };
  const reader = new FrameReader(
    (chunk, start, end) => void shown.push(Buffer.from(chunk.subarray(start, end))),
    FRAME_BYTES_MAX,
    budget,
    takes(likes, taken),
  );
  return { taken, shown, budget, reader };
}

const three = [frame(30, 1), frame(30, 2), frame(30, 3)];
const bytes = Buffer.concat(three);

test('a frame of two reads goes in a run, wherever it was cut', () => {
  for (let cut = 39; cut < 76; cut++) {
    const { taken, shown, budget, reader } = readIn((last) => last === 2);
    reader.push(Buffer.from(bytes.subarray(0, cut)));
    expect(budget.usedBytes).toBe(cut - 38);
    expect(reader.push(Buffer.from(bytes.subarray(cut, 76)))).toBe(true);
    expect(taken).toEqual([three[1]]);
    expect(shown).toEqual([three[0]]);
    expect(budget.usedBytes).toBe(0);
    reader.push(Buffer.from(bytes.subarray(76)));
    expect(shown).toEqual([three[0], three[2]]);
  }
});

test('what a run does not take is shown, once', () => {
  for (let cut = 39; cut < 76; cut++) {
    const { taken, shown, reader } = readIn((last) => last === 9);
    reader.push(Buffer.from(bytes.subarray(0, cut)));
    expect(reader.push(Buffer.from(bytes.subarray(cut)))).toBe(false);
    expect(taken).toEqual([]);
    expect(shown).toEqual(three);
  }
});

test('a stream in pieces of every size gives the same frames in the same order', () => {
  const frames = Array.from({ length: 60 }, (_, i) => frame((i * 7) % 90, 1 + (i % 3)));
  const stream = Buffer.concat(frames);
  for (let size = 1; size < 400; size++) {
    const order: Buffer[] = [];
    const keep = (chunk: Buffer, start: number, end: number) =>
      void order.push(Buffer.from(chunk.subarray(start, end)));
    const runs = takes((last) => last !== 3, order);
    const budget = { usedBytes: 0, maxBytes: FRAME_BYTES_MAX };
    const reader = new FrameReader(keep, FRAME_BYTES_MAX, budget, runs);
    for (let at = 0; at < stream.length; at += size) {
      reader.push(Buffer.from(stream.subarray(at, at + size)));
    }
    expect(order).toEqual(frames);
    expect(reader.partialBytes).toBe(0);
  }
});

test('a large frame of two reads is not copied once more for a run', () => {
  const large = frame(100_000, 2);
  const { taken, shown, reader } = readIn(() => true);
  reader.push(Buffer.from(large.subarray(0, 60_000)));
  reader.push(Buffer.from(large.subarray(60_000)));
  expect(taken).toEqual([]);
  expect(shown).toEqual([large]);
});
