// Rot in the source: whatever is no valid record is found while it is archived, named with file and
// offset, kept in the manifest, and never pushes out a backup that was sound.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Backup, backupConfigSchema } from '../../../backup/index.ts';
import { type RangeScan, RangeScanner } from '../../../backup/segment/record-scan.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { appendOrder, buildStore, type LogBuilder, T0 } from '../../support/backup/log-builder.ts';

const FILE_BYTES = 64 * 1024;
let folder: string;
let store: LogBuilder;
let backup: Backup;
beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-damage-'));
  store = buildStore(path.join(folder, 'store'), 800, { fileBytes: FILE_BYTES });
  backup = await initBackup({
    config: backupConfigSchema.parse({
      repository: { kind: 'file', path: path.join(folder, 'repository') },
      storeId: 'shop',
      workers: 1,
    }),
  });
});
afterEach(() => {
  backup.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const baseOf = (offset: number, fileBytes = FILE_BYTES) =>
  Math.floor(offset / fileBytes) * fileBytes;
const nameOf = (base: number) => String(base).padStart(20, '0');
const fileOf = (offset: number) => path.join(store.root, 'commitlog', nameOf(baseOf(offset)));

/** Changes bytes of the log at a physical offset. */
function rot(offset: number, change: (bytes: Buffer, at: number) => void): void {
  const file = fileOf(offset);
  const bytes = fs.readFileSync(file);
  change(bytes, offset - baseOf(offset));
  fs.writeFileSync(file, bytes);
}
const flipBody = (offset: number) =>
  rot(offset, (bytes, at) => {
    bytes[at + 100] = (bytes[at + 100] ?? 0) ^ 1;
  });
const inLast = () => store.offsets.filter((offset) => offset >= baseOf(store.end));
const target = () => path.join(folder, 'restored');

describe('a damaged record', () => {
  const places: [string, () => number][] = [
    ['the first file', () => store.offsets[50] as number],
    ['the last file', () => inLast()[2] as number],
    ['the very end', () => store.offsets.at(-1) as number],
  ];
  test.each(places)('in %s makes the run incomplete and is named', async (_place, pick) => {
    const from = pick();
    const to = store.offsets[store.offsets.indexOf(from) + 1] ?? store.end;
    flipBody(from);
    const made = await backup.run({ rootDir: store.root });
    const damage = [{ file: nameOf(baseOf(from)), from, to }];
    expect(made).toMatchObject({ isComplete: false, damage, logMax: store.end });
    const [listed] = await backup.list();
    expect(listed).toMatchObject({ state: 'gap', isProven: false });
    expect(listed?.problem).toContain(`${nameOf(baseOf(from))} at ${from}`);
    const proof = await backup.verify({ id: made.id, depth: 'listed' });
    expect(proof).toMatchObject({ code: 'VERIFY_FAILED', problems: [{ kind: 'record' }] });
  });

  test('keeps what lies behind it in the archive, and what is before it can be restored', async () => {
    const from = store.offsets[50] as number;
    flipBody(from);
    const { id } = await backup.run({ rootDir: store.root });
    await expect(backup.restore({ id, target: target() })).rejects.toMatchObject({
      code: 'INCOMPLETE',
      hint: expect.stringContaining(`--to-offset ${from}`),
    });
    const cut = { toOffset: from };
    expect(await backup.restore({ id, target: target(), cut })).toMatchObject({
      records: 50,
      logEnd: from,
    });
    const later = path.join(folder, 'later');
    const beyond = { toOffset: from + 1 };
    await expect(backup.restore({ id, target: later, cut: beyond })).rejects.toMatchObject({
      code: 'INCOMPLETE',
    });
    const byTime = path.join(folder, 'by-time');
    const early = { toTimeMs: T0 + 9_500 };
    expect((await backup.restore({ id, target: byTime, cut: early })).records).toBe(10);
  });

  test('that was repaired is archived again: the file is not taken over', async () => {
    const from = store.offsets[50] as number;
    flipBody(from);
    await backup.run({ rootDir: store.root });
    flipBody(from);
    const made = await backup.run({ rootDir: store.root });
    expect(made).toMatchObject({ isComplete: true, damage: [], records: 800 });
    await backup.restore({ id: made.id, target: target() });
  });

  test('that rots after its file was archived leaves the archive sound', async () => {
    const root = path.join(folder, 'wide');
    const wide = buildStore(root, 1_500, { fileBytes: 256 * 1024 });
    await backup.run({ rootDir: root });
    const file = path.join(root, 'commitlog', nameOf(0));
    const bytes = fs.readFileSync(file);
    const seconds = (Math.floor(fs.statSync(file).mtimeMs) + 0.5) / 1000;
    // Between the edges that tell whether a file is still the one it was.
    const at = (wide.offsets[200] as number) + 100;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    fs.writeFileSync(file, bytes);
    fs.utimesSync(file, seconds, seconds);
    const made = await backup.run({ rootDir: root });
    expect(made).toMatchObject({ isComplete: true, damage: [], filesReused: made.files - 1 });
    expect((await backup.restore({ id: made.id, target: target() })).records).toBe(1_500);
  });
});

describe('zeros', () => {
  const wipe = (from: number, to: number) =>
    rot(from, (bytes, at) => bytes.fill(0, at, at + to - from));

  test('in the last file, with records behind them, are a gap and not the end', async () => {
    const [, , from = 0, , , to = 0] = inLast();
    wipe(from, to);
    const made = await backup.run({ rootDir: store.root });
    const damage = [{ file: nameOf(baseOf(from)), from, to }];
    expect(made).toMatchObject({ isComplete: false, damage, logMax: store.end });
  });

  test('at the start of the last file do not make it an empty one', async () => {
    const [from = 0, , , to = 0] = inLast();
    wipe(from, to);
    const made = await backup.run({ rootDir: store.root });
    expect(made).toMatchObject({ isComplete: false, logMax: store.end });
    expect(made.damage).toEqual([{ file: nameOf(from), from, to }]);
  });

  test('at the end of a whole file are damage up to the next one', async () => {
    const before = store.offsets.filter((offset) => offset < FILE_BYTES);
    const from = before.at(-2) as number;
    wipe(from, FILE_BYTES);
    const made = await backup.run({ rootDir: store.root });
    expect(made.damage).toEqual([{ file: nameOf(0), from, to: FILE_BYTES }]);
  });
});

describe('retention', () => {
  const lastOnly = { last: 1, daily: 0, withinHours: 0 };
  test('never deletes the sound backup for newer ones that are damaged', async () => {
    const sound = await backup.run({ rootDir: store.root });
    // The newest file grows, so it is read again: with rot in it.
    flipBody(inLast()[1] as number);
    for (let i = 800; i < 810; i++) appendOrder(store, i);
    await backup.run({ rootDir: store.root });
    const newest = await backup.run({ rootDir: store.root });
    const pruned = await backup.prune({ dryRun: false, keep: lastOnly });
    expect(pruned.deleted).toHaveLength(1);
    expect((await backup.list()).map((entry) => entry.id)).toEqual([sound.id, newest.id]);
    expect(pruned.kept.find((entry) => entry.id === sound.id)?.why).toBe('last good one');
    expect((await backup.restore({ id: 'latest', target: target() })).backupId).toBe(sound.id);
  });
});

test('records that reach over the ends of large ranges are proven', async () => {
  const root = path.join(folder, 'large');
  const large = buildStore(root, 0, { fileBytes: 96 * 1024 * 1024 });
  const add = (index: number) =>
    large.append({
      topic: 'orders',
      queueId: 0,
      body: Buffer.alloc(700_001, `order ${index} `),
      storeTimestampMs: T0 + index,
    });
  for (let i = 0; i < 150; i++) add(i);
  const made = await backup.run({ rootDir: root });
  expect(made).toMatchObject({ isComplete: true, damage: [], records: 150 });
  // The first record that begins in the second range loses its head: nobody may seek past it.
  const victim = large.offsets.findIndex((offset) => offset >= 32 * 1024 * 1024);
  const [from = 0, to = 0] = large.offsets.slice(victim);
  const file = path.join(root, 'commitlog', nameOf(0));
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, Buffer.alloc(8, 0xff), 0, 8, from);
  fs.closeSync(fd);
  fs.utimesSync(file, 1, 1);
  const rotten = await backup.run({ rootDir: root });
  expect(rotten.damage).toEqual([{ file: nameOf(0), from, to }]);
});

test.each([0, 1, 10, 35])(
  'a record or a blank marker that begins %d bytes before the end of a range is proven too',
  async (before) => {
    const root = path.join(folder, 'odd');
    const odd = buildStore(root, 0, { fileBytes: 64 * 1024 * 1024 });
    const add = (sizeBytes: number, to = odd) =>
      to.append({
        topic: 'orders',
        queueId: 0,
        body: Buffer.alloc(sizeBytes - 97, 'order '),
        storeTimestampMs: T0,
      });
    const range = 32 * 1024 * 1024;
    add(range - before);
    // Does not fit: the rest of the file becomes a blank marker.
    add(40 * 1024 * 1024);
    add(1_000);
    const made = await backup.run({ rootDir: root });
    expect(made).toMatchObject({ isComplete: true, damage: [], records: 3, files: 2 });
    const next = path.join(folder, 'odd-record');
    const filled = buildStore(next, 0, { fileBytes: 64 * 1024 * 1024 });
    add(range - before, filled);
    add(1_000, filled);
    expect(await backup.run({ rootDir: next })).toMatchObject({ isComplete: true, records: 2 });
  },
);

describe('a file cut into ranges', () => {
  let bytes: Buffer;
  let dataBytes: number;
  beforeEach(() => {
    bytes = fs.readFileSync(fileOf(0));
    dataBytes = FILE_BYTES;
  });

  const scanRange = (file: Buffer, from: number, to: number, chunkBytes: number): RangeScan => {
    const target = { startOffset: 0, dataBytes, firstOffset: from === 0 ? 0 : undefined };
    const scanner = new RangeScanner(from, target);
    // One buffer for all chunks, as the archiver has it.
    const buffer = Buffer.alloc(chunkBytes);
    for (let at = from; at < to; at += chunkBytes) {
      const chunk = buffer.fill(0xee).subarray(0, Math.min(chunkBytes, to - at));
      file.copy(chunk, 0, at);
      scanner.advance(chunk);
    }
    return scanner.finish((into, position) => file.copy(into, 0, position));
  };
  const isChained = (scans: RangeScan[]): boolean => {
    let end = 0;
    for (const scan of scans) {
      if (!scan.isSound || (scan.first ?? end) !== end) return false;
      end = scan.end ?? end;
    }
    return end === dataBytes;
  };
  const cuts = fc
    .uniqueArray(fc.integer({ min: 1, max: FILE_BYTES - 1 }), { maxLength: 12 })
    .map((list) => [0, ...list.sort((a, b) => a - b), FILE_BYTES]);
  /** Shorter and longer than a record's head, a record, several records. */
  const chunkSizes = fc.constantFrom(3, 37, 1000, 16_384);
  const scanAll = (file: Buffer, marks: number[], chunkBytes: number) =>
    marks.slice(1).map((to, i) => scanRange(file, marks[i] as number, to, chunkBytes));

  test('is proven whole if each range has a whole record head, and every record counts', () => {
    const heads = store.offsets.filter((offset) => offset < FILE_BYTES);
    const last = heads.at(-1) as number;
    const isInHead = (cut: number) =>
      cut > last || heads.some((head) => cut > head && cut < head + 36);
    void fc.assert(
      fc.property(cuts, chunkSizes, (list, chunkBytes) => {
        const marks = list.filter((cut) => !isInHead(cut)).concat(FILE_BYTES);
        const scans = scanAll(bytes, marks, chunkBytes);
        expect(isChained(scans)).toBe(true);
        expect(scans.reduce((sum, scan) => sum + scan.records, 0)).toBe(heads.length);
      }),
    );
  });

  test('is never proven when a byte of a record’s frame or body is another', () => {
    const heads = store.offsets.filter((offset) => offset < FILE_BYTES);
    const place = fc.record({
      head: fc.constantFrom(...heads),
      // Size, magic, CRC, physical offset, body: what a record can be proven by.
      at: fc.constantFrom(0, 3, 4, 7, 9, 28, 35, 84, 87, 88, 120, 287),
      change: fc.integer({ min: 1, max: 255 }),
    });
    void fc.assert(
      fc.property(cuts, chunkSizes, place, (marks, chunkBytes, { head, at, change }) => {
        const rotten = Buffer.from(bytes);
        rotten[head + at] = (rotten[head + at] ?? 0) ^ change;
        expect(isChained(scanAll(rotten, marks, chunkBytes))).toBe(false);
      }),
    );
  });
});
