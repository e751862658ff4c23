// The HA stream reader against every way TCP may cut a stream, and against garbage.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeReport,
  HA_FRAME_BYTES_MAX,
  HaFrameReader,
} from '../../../replicator/stream/ha-frames.ts';

function frame(offset: number, body: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeBigInt64BE(BigInt(offset), 0);
  header.writeInt32BE(body.length, 8);
  return Buffer.concat([header, body]);
}

/** A reader that collects what it hands on. */
function collect(start: number) {
  const parts: Buffer[] = [];
  const offsets: number[] = [];
  const reader = new HaFrameReader(start, {
    onBytes(offset, bytes) {
      offsets.push(offset);
      parts.push(Buffer.from(bytes));
    },
  });
  return { reader, offsets, bytes: () => Buffer.concat(parts) };
}

describe('HA frames', () => {
  test('any cutting of the stream yields the same bytes at the same offsets', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });
    const cuts = fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(bodies, cuts, fc.nat(2 ** 40), (list, sizes, start) => {
        const wanted = Buffer.concat(list);
        let at = start;
        const stream = Buffer.concat(
          list.map((body) => {
            const bytes = frame(at, Buffer.from(body));
            at += body.length;
            return bytes;
          }),
        );
        const got = collect(start);
        const chunk = Buffer.alloc(97);
        for (let from = 0, turn = 0; from < stream.length; turn++) {
          const size = Math.min(sizes[turn % sizes.length] ?? 1, stream.length - from);
          stream.copy(chunk, 0, from, from + size);
          got.reader.feed(chunk, size);
          from += size;
        }
        expect(got.bytes().equals(wanted)).toBe(true);
        expect(got.reader.next).toBe(start + wanted.length);
        let next = start;
        for (const [i, offset] of got.offsets.entries()) {
          expect(offset).toBe(next);
          next += i < got.offsets.length - 1 ? (got.offsets[i + 1] ?? 0) - offset : 0;
        }
      }),
    );
  });

  test.each([
    ['a jump forward', 101],
    ['a jump back', 99],
    ['a negative offset', -1],
  ])('%s is refused', (_name, offset) => {
    const { reader, bytes } = collect(100);
    expect(() => reader.feed(frame(offset, Buffer.from('x')), 13)).toThrow(/expected 100/);
    expect(bytes().length).toBe(0);
  });

  test.each([-1, HA_FRAME_BYTES_MAX + 1])('a frame of %i bytes is no HA stream', (size) => {
    const { reader } = collect(0);
    const header = Buffer.alloc(12);
    header.writeInt32BE(size, 8);
    expect(() => reader.feed(header, 12)).toThrow(/no HA stream/);
  });

  test('a heartbeat at another offset than the expected one is refused', () => {
    const { reader } = collect(100);
    reader.feed(frame(100, Buffer.alloc(0)), 12);
    expect(() => reader.feed(frame(50, Buffer.alloc(0)), 12)).toThrow(/expected 100/);
  });

  test('bytes that the sink did not take do not move the position', () => {
    let mayTake = false;
    const reader = new HaFrameReader(0, {
      onBytes() {
        if (!mayTake) throw new Error('disk full');
      },
    });
    const bytes = frame(0, Buffer.from('abc'));
    expect(() => reader.feed(bytes, bytes.length)).toThrow('disk full');
    expect(reader.next).toBe(0);
    mayTake = true;
  });

  test('a report is a big-endian int64', () => {
    expect(encodeReport(2 ** 40 + 5).readBigInt64BE(0)).toBe(2n ** 40n + 5n);
  });
});
