// How far the log reaches is found from behind: the same end as a walk from the first record, whatever
// the newest file holds. Files here are longer than the stretch that is walked (8 MiB).
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listLogFiles } from '../../../backup/log/index.ts';
import { findExtent } from '../../../backup/snapshot/log-extent.ts';
import { buildStore, type LogBuilder, T0 } from '../../support/backup/log-builder.ts';

const MIB = 1024 * 1024;
const FILE_BYTES = 24 * MIB;
let folder: string;
let store: LogBuilder;

const add = (sizeBytes: number) =>
  store.append({
    topic: 'orders',
    queueId: 0,
    body: Buffer.alloc(sizeBytes, `order ${store.offsets.length} `),
    storeTimestampMs: T0 + store.offsets.length,
  });
const commitlog = () => path.join(store.root, 'commitlog');
const extent = () => findExtent(listLogFiles(commitlog()), (name) => path.join(commitlog(), name));

/** Changes the first file; answers what stood there. */
function write(at: number, bytes: Buffer): Buffer {
  const fd = fs.openSync(path.join(commitlog(), '0'.repeat(20)), 'r+');
  const before = Buffer.alloc(bytes.length);
  fs.readSync(fd, before, 0, before.length, at);
  fs.writeSync(fd, bytes, 0, bytes.length, at);
  fs.closeSync(fd);
  return before;
}

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-extent-'));
  store = buildStore(path.join(folder, 'store'), 0, { fileBytes: FILE_BYTES });
  for (let i = 0; i < 400; i++) add(20_000 + ((i * 7_919) % 40_000));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

describe('the end of a log', () => {
  test('is behind its last record, with that record’s time', async () => {
    expect(store.end).toBeGreaterThan(12 * MIB);
    const last = T0 + store.offsets.length - 1;
    expect(await extent()).toMatchObject({ min: 0, max: store.end, lastStoreTimestampMs: last });
  });

  test('is found when one record is longer than the stretch', async () => {
    add(9 * MIB);
    expect(await extent()).toMatchObject({ max: store.end });
  });

  test('is the end of a rolled file when the next holds nothing yet', async () => {
    while (store.end < FILE_BYTES) add(3 * MIB);
    const next = path.join(commitlog(), String(FILE_BYTES).padStart(20, '0'));
    fs.writeFileSync(next, '');
    fs.truncateSync(next, FILE_BYTES);
    expect(await extent()).toMatchObject({ max: FILE_BYTES, files: [{ startOffset: 0 }] });
  });

  test('is before a record that a crash cut anywhere', async () => {
    const last = store.offsets.at(-1) as number;
    // From its magic to its body: what is cut behind the body may leave a whole record.
    const cuts = fc.integer({ min: 4, max: 20_000 });
    await fc.assert(
      fc.asyncProperty(cuts, async (cut) => {
        const whole = write(last + cut, Buffer.alloc(store.end - last - cut));
        const { max } = await extent();
        write(last + cut, whole);
        expect(max).toBe(last);
      }),
      { numRuns: 6 },
    );
  });

  test('is not moved by bytes behind it that are no record', async () => {
    write(store.end + 5_000, Buffer.alloc(3 * MIB, 0xa7));
    expect(await extent()).toMatchObject({ max: store.end });
    // More of them than the stretch.
    write(store.end + 5_000, Buffer.alloc(9 * MIB, 0xa7));
    expect(await extent()).toMatchObject({ max: store.end });
  });

  test('is not moved by damage in the stretch, before it, or at its last record', async () => {
    const last = store.offsets.at(-1) as number;
    const places = [100, store.end - 6 * MIB, store.end - 3 * MIB, last + 200];
    for (const at of places) {
      const whole = write(at, Buffer.alloc(64, 0xff));
      expect(await extent()).toMatchObject({ max: store.end });
      write(at, whole);
    }
  });

  test('is not moved by records inside the bodies of records', async () => {
    const inner = fs
      .readFileSync(path.join(commitlog(), '0'.repeat(20)))
      .subarray(0, store.offsets[1]);
    for (let i = 0; i < 60; i++) {
      const body = Buffer.alloc(150_000, 'order ');
      for (let at = 0; at + inner.length < body.length; at += inner.length + 1_000) {
        inner.writeBigInt64BE(BigInt(store.end + 88 + at), 28);
        inner.copy(body, at);
      }
      store.append({ topic: 'orders', queueId: 0, body, storeTimestampMs: T0 });
    }
    expect(await extent()).toMatchObject({ max: store.end });
  });
});
