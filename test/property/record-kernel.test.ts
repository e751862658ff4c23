// The kernel against the full reader: whatever it passes, the reader passes, with the same row. Over logs
// of every kind of record, over every single damaged byte, every cut, and through the thread that uses it.
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RecordKernel } from '../../core-broker/kernel/index.ts';
import { continueJavaHash } from '../../core-broker/protocol/index.ts';
import { DigestRing, ROW } from '../../core-broker/store/check/digest-ring.ts';
import { LogFollower } from '../../core-broker/store/check/log-follower.ts';
import { mappedFileName } from '../../core-broker/store/layout.ts';
import { anyRecord, type ReadRecord, RowReader, randomOf } from '../support/record-rows.ts';
import { tempFolder } from '../support/store-options.ts';

const PIECE = 256 * 1024;
const FAR = 2 ** 40;
const keyHash = (topic: string): number => {
  const bytes = Buffer.from(`${topic}#`, 'latin1');
  return continueJavaHash(0, { bytes, start: 0, end: bytes.length });
};

/** A kernel that walks as its user does, but with the reader in place of the user's. */
class Walker {
  readonly kernel = new RecordKernel(PIECE, true);
  readonly #reader = new RowReader();
  #topics: string[] = [];
  walked = 0;
  left = 0;

  /** @returns how many records there are; throws when the two differ */
  hold(length: number, offset: number, fileLeft = FAR): number {
    const { kernel } = this;
    const wanted = this.#reader.read(kernel.bytes, 0, length, { offset, fileLeft });
    let at = 0;
    for (let next = 0; ; ) {
      kernel.walk({
        from: at,
        to: length,
        offset: offset + at,
        fileLeft: fileLeft - at,
        roomWords: 1e6,
      });
      const passed = this.#compare(wanted, next);
      at = kernel.next;
      next += passed;
      this.walked += passed;
      const rest = wanted[next];
      if (rest === undefined) return wanted.length;
      this.#know(rest, at);
      at += rest.size;
      next++;
      this.left++;
    }
  }

  #compare(wanted: ReadRecord[], from: number): number {
    const rows = this.kernel.rows();
    let count = 0;
    for (let at = 0; at < rows.length; count++) {
      const record = wanted[from + count];
      if (record === undefined) throw new Error(`record ${from + count} is none, and was passed`);
      const row = [...rows.subarray(at, at + 11 + rows[at + 10]!)];
      if (this.#topics[row[1]!] !== record.topic) throw new Error('another topic');
      row[1] = -1;
      expect(row).toEqual(record.row);
      at += row.length;
    }
    return count;
  }

  #know({ topic, size }: ReadRecord, at: number): void {
    if (topic === 'SCHEDULE_TOPIC_XXXX' || /[^\x20-\x7f]/.test(topic)) return;
    const start = this.kernel.bytes.subarray(at, at + size).lastIndexOf(topic, undefined, 'latin1');
    if (!this.#topics.includes(topic)) this.#topics.push(topic);
    const number = this.#topics.indexOf(topic);
    // The name can also stand in the body or the properties: the kernel takes the bytes, not the place.
    this.kernel.know({ start: at + start, length: topic.length, number, keyHash: keyHash(topic) });
  }
}

/** Fills the kernel's bytes with records; @returns the end of the last */
function fill(bytes: Buffer, offset: number, random: () => number): number {
  for (let at = 0; ; ) {
    const record = anyRecord(random, offset + at, true);
    if (at + record.length > bytes.length) return at;
    at += record.copy(bytes, at);
  }
}

describe('the kernel and the full reader', () => {
  test('read the same in 120,000 records of every form', () => {
    const walker = new Walker();
    let count = 0;
    for (let seed = 1; count < 120_000; seed++) {
      const offset = seed * 2 ** 35;
      count += walker.hold(fill(walker.kernel.bytes, offset, randomOf(seed)), offset);
    }
    expect(walker.walked).toBeGreaterThan(walker.left);
  });

  test('agree on every cut, and on every end of a file', () => {
    const walker = new Walker();
    const end = fill(walker.kernel.bytes.subarray(0, 2000), 77, randomOf(5));
    for (let length = 0; length <= end; length++) {
      walker.hold(length, 77);
      walker.hold(end, 77, length);
    }
    expect(walker.walked).toBeGreaterThan(end);
  });

  test('agree on every bit that differs, in every byte', () => {
    const walker = new Walker();
    const { bytes } = walker.kernel;
    for (let seed = 1; seed <= 12; seed++) {
      const end = fill(bytes.subarray(0, 1500), 4096, randomOf(seed));
      const count = walker.hold(end, 4096);
      for (let at = 0; at < end; at++) {
        const sound = bytes[at]!;
        for (const wrong of [...[1, 2, 4, 8, 16, 32, 64, 128].map((bit) => sound ^ bit), 0, 255]) {
          bytes[at] = wrong;
          expect(walker.hold(end, 4096)).toBeLessThanOrEqual(count);
        }
        bytes[at] = sound;
      }
    }
  });

  test('agree when many bytes differ', () => {
    const walker = new Walker();
    const { bytes } = walker.kernel;
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    const property = fc.property(fc.nat(), fc.array(change, { maxLength: 12 }), (seed, changes) => {
      const end = fill(bytes.subarray(0, 3000), 0, randomOf(seed));
      for (const [at, value] of changes) bytes[at % end] = value;
      walker.hold(end, 0);
    });
    return fc.assert(property, { numRuns: 3000 });
  });

  test('rows never take more than their room, whatever keys a record has', () => {
    const walker = new Walker();
    const { kernel } = walker;
    const end = fill(kernel.bytes.subarray(0, 60_000), 0, randomOf(1));
    walker.hold(end, 0);
    const range = { to: end, fileLeft: FAR };
    for (let at = 0; at < end; at += kernel.bytes.readInt32BE(at)) {
      for (const roomWords of [0, 11, 74, 75, 76, 100, 200]) {
        kernel.walk({ ...range, from: at, offset: at, roomWords });
        expect(kernel.words).toBeLessThanOrEqual(roomWords);
      }
    }
  });
});

test('a thread that walks a log shows what the full reader shows, over the borders of pieces', () => {
  const folder = tempFolder();
  const random = randomOf(9);
  const fileSize = 3_000_017;
  const bytes = Buffer.alloc(fileSize);
  let end = 0;
  for (;;) {
    const record = anyRecord(random, end, true);
    if (end + record.length + 8 > fileSize) break;
    end += record.copy(bytes, end);
  }
  fs.writeFileSync(path.join(folder, mappedFileName(0)), bytes);
  const wanted = new RowReader().read(bytes, 0, end, { offset: 0, fileLeft: fileSize });
  const ring = new DigestRing();
  const setup = { folder, fileSize, messageDelayLevel: '1s 5s 10s', hasIndex: true };
  const follower = new LogFollower(ring, setup);
  const topics: string[] = [];
  let next = 0;
  ring.order(0, 1);
  for (let known = 1; known < end; ) {
    known = Math.min(end, known + Math.ceil(random() * 700_000));
    ring.extend(known);
    for (let isIdle = false; !isIdle; ) {
      follower.step();
      for (let kind = ring.peek(); kind !== 0; kind = ring.peek()) {
        if (kind === ROW.topic) topics[ring.word(1)] = ring.topicName().toString('latin1');
        if (kind === ROW.idle) isIdle = ring.word(1) === known;
        expect(kind).not.toBe(ROW.damage);
        if (kind > 0) {
          const record = wanted[next++];
          const row = Array.from({ length: 11 + ring.word(10) }, (_, i) => ring.word(i));
          expect(topics[row[1]!]).toBe(record?.topic);
          row[1] = -1;
          expect(row).toEqual(record?.row);
        }
        ring.take();
      }
      ring.release();
    }
  }
  expect(next).toBe(wanted.length);
  follower.close();
  fs.rmSync(folder, { recursive: true });
});
