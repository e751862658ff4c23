// Bulk bytes of a link: written first, checked by another thread, entered when it says so. What may go
// wrong between the write and the check must leave a copy that tells the truth and can go on.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DrError, type Epoch } from '../../core-broker/base/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../core-broker/store/message-store.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';
import { until } from '../support/until.ts';

const POURER = path.join(import.meta.dirname, '../support/link-pourer.ts');
const FILE_BYTES = 2 * 1024 * 1024;
const BULK = 1024 * 1024;
const SHAPE = { mappedFileSizeCommitLog: FILE_BYTES, mappedFileSizeConsumeQueue: 60_000 };
const EPOCH = 0 as Epoch;

let sourceRoot = '';
let source: MessageStore;
let bytes: Buffer;
const folders: string[] = [];
const stores: MessageStore[] = [];
const folder = () => {
  const made = tempFolder();
  folders.push(made);
  return made;
};

async function open(root: string): Promise<MessageStore> {
  const dr = { region: 'west', initialRole: 'standby' as const };
  const store = await openStore(smallStoreOptions(root, { ...SHAPE, ...dr }));
  stores.push(store);
  return store;
}

beforeAll(async () => {
  sourceRoot = tempFolder();
  source = await openStore(smallStoreOptions(sourceRoot, SHAPE));
  for (let i = 0; i < 9_000; i++) {
    const body = Buffer.alloc((i * 97) % 1500, i);
    const properties = { UNIQ_KEY: `u${i}`, KEYS: `k${i} other${i}`, TAGS: `t${i % 3}` };
    source.append(recordSource(source, { topic: `t${i % 2}`, queueId: i % 3, body, properties }));
    if (i % 500 === 0) await source.flush();
  }
  await source.flush();
  await source.dispatched();
  bytes = await readAll(source);
});
afterAll(async () => {
  await source.close();
  fs.rmSync(sourceRoot, { recursive: true });
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const each of folders.splice(0)) fs.rmSync(each, { recursive: true });
});

async function readAll(store: MessageStore): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let at: number = store.storeBounds().minOffset;
  for (;;) {
    const piece = await store.readLog(at, BULK);
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece));
    at += piece.length;
  }
}

/** A standby whose thread stands by; the first bulk bytes are in. */
async function bulkStandby(root = folder()): Promise<MessageStore> {
  const copy = await open(root);
  copy.appendExact(0, bytes.subarray(0, BULK), EPOCH);
  const { exact } = partsOf(copy as FileMessageStore);
  await until(() => exact.hasThread, 'the thread to stand by');
  await copy.dispatched();
  return copy;
}

/** Appends [from, to) in pieces that count as bulk, in one tick: nothing is checked in between. */
function pour(copy: MessageStore, what: Buffer, from: number, to: number = what.length): void {
  for (let at = from; at < to; at += BULK) {
    copy.appendExact(at, what.subarray(at, Math.min(to, at + BULK)), EPOCH);
  }
}

/** Start of the first record at or behind `from`. */
function recordBehind(from: number): number {
  for (let at = 0; ; ) {
    if (at >= from && bytes.readInt32BE(at + 4) !== -875286124) return at;
    at += bytes.readInt32BE(at);
  }
}

/** One byte of the record is another: its CRC (8) unless told. */
function damagedAt(offset: number, byte = 8): Buffer {
  const bad = Buffer.from(bytes);
  bad[offset + byte] = bad[offset + byte]! ^ 1;
  return bad;
}

/** Kills the pouring child after so many lines, unless it was level before. */
async function pourAndKill(root: string, log: string, lines: number) {
  const args = [POURER, root, log, JSON.stringify(SHAPE)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (text.split('\n').length > lines || text.includes('level')) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  const whole = text.split('\n').slice(0, -1);
  const isLevel = whole.at(-1) === 'level';
  const [told = 0, unchecked = 0] = (whole.at(isLevel ? -2 : -1) ?? '').split(' ').map(Number);
  return { told, isLevel, isAhead: unchecked > 0 };
}

const end = (copy: MessageStore): number => copy.storeBounds().maxOffset;

async function expectWhole(copy: MessageStore): Promise<void> {
  expect(copy.validatedEnd()).toBe(bytes.length);
  expect((await readAll(copy)).equals(bytes)).toBe(true);
  expect([...copy.queues()]).toEqual([...source.queues()]);
  expect(copy.lastRecordOffset()).toBe(source.lastRecordOffset());
  const range = { topic: 't1', beginMs: 0, endMs: Date.now() };
  for (const key of ['other101', 'u8999', 'k4001']) {
    expect(await copy.find({ ...range, key }, 9)).toEqual(await source.find({ ...range, key }, 9));
  }
}

describe('bulk bytes', () => {
  test('are taken ahead while the thread that checks them starts', async () => {
    const copy = await open(folder());
    pour(copy, bytes, 0);
    expect([copy.uncheckedBytes(), copy.validatedEnd()]).toEqual([bytes.length, 0]);
    await copy.dispatched();
    await expectWhole(copy);
  });

  test('become the same copy, and small traffic is checked at once behind them', async () => {
    const copy = await bulkStandby();
    const early = bytes.length - 5_000;
    pour(copy, bytes, end(copy), early);
    expect(copy.uncheckedBytes()).toBeGreaterThan(0);
    expect(copy.validatedEnd()).toBeLessThan(early);
    await copy.dispatched();
    expect(copy.uncheckedBytes()).toBe(0);
    expect(early - copy.validatedEnd()).toBeLessThan(2_000);
    copy.appendExact(early, bytes.subarray(early), EPOCH);
    await copy.dispatched();
    await expectWhole(copy);
    await copy.truncate(recordBehind(early));
    const at = copy.validatedEnd();
    copy.appendExact(at, bytes.subarray(at), EPOCH);
    expect(copy.validatedEnd()).toBe(bytes.length);
  });

  test('are in no queue and before no told end until they are checked', async () => {
    const copy = await bulkStandby();
    const before = [...copy.queues()];
    const checked = copy.validatedEnd();
    pour(copy, bytes, end(copy));
    expect([...copy.queues()]).toEqual(before);
    expect(copy.validatedEnd()).toBe(checked);
    expect(copy.storeBounds().dispatchedOffset).toBe(checked);
    expect(await copy.readLog(checked, 100)).toBeUndefined();
    expect(() => copy.readRecord(checked)).toThrow(/not in the log/);
    let last: number = checked;
    while (copy.uncheckedBytes() > 0) {
      await copy.checkedMore();
      expect(copy.validatedEnd()).toBeGreaterThanOrEqual(last);
      last = copy.validatedEnd();
    }
    await expectWhole(copy);
  });

  test.each([
    ['body CRC differs', 8],
    ['another position inside', 35],
    ['no valid record', 4],
    ['no valid record', 0],
  ])('a damaged record (%s) is named by file and offset and never served', async (why, byte) => {
    const root = folder();
    const copy = await bulkStandby(root);
    const at = recordBehind(5 * BULK);
    pour(copy, damagedAt(at, byte), end(copy));
    const told = (async () => {
      while (copy.uncheckedBytes() > 0) await copy.checkedMore();
      await copy.checkedMore();
    })();
    const file = path.join(root, 'commitlog', String(2 * FILE_BYTES).padStart(20, '0'));
    await expect(told).rejects.toMatchObject({ code: 'CORRUPT', context: { file, offset: at } });
    expect([copy.validatedEnd(), end(copy)]).toEqual([at, at]);
    expect(await copy.readLog(at, 100)).toBeUndefined();
    const late = () => copy.appendExact(bytes.length, Buffer.alloc(9), EPOCH);
    expect(late).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    expect(late).toThrow(new RegExp(`at ${at}: ${why}`));
    // What lay behind it is not in the files any more.
    const rest = fs.readFileSync(file).subarray(at - 2 * FILE_BYTES);
    expect(rest.equals(Buffer.alloc(rest.length))).toBe(true);
    pour(copy, bytes, at);
    await copy.dispatched();
    await expectWhole(copy);
  });

  test('who waits for progress hears of damage, and of nothing before there is some', async () => {
    const copy = await bulkStandby();
    const at = copy.validatedEnd();
    pour(copy, damagedAt(at), at);
    await expect(copy.checkedMore()).rejects.toMatchObject({ code: 'CORRUPT' });
    pour(copy, bytes, at);
    for (let before = at; copy.uncheckedBytes() > 0; before = copy.validatedEnd()) {
      await copy.checkedMore();
      if (copy.uncheckedBytes() > 0) expect(copy.validatedEnd()).toBeGreaterThan(before);
    }
    await expectWhole(copy);
  });

  test('that are fetched again while the first ones are still being checked', async () => {
    const copy = await bulkStandby();
    for (let round = 0; round < 5; round++) {
      pour(copy, bytes, end(copy));
      if (round % 2 === 1) await copy.checkedMore();
      const checked = copy.validatedEnd();
      // A new connection begins at the validated end: what is under way must not count.
      copy.appendExact(checked, bytes.subarray(checked, checked + 10), EPOCH);
      expect(end(copy)).toBe(Math.min(checked + 10, bytes.length));
    }
    pour(copy, bytes, end(copy));
    await copy.dispatched();
    await expectWhole(copy);
  });

  test('a cut of the log under them leaves nothing of them behind', async () => {
    const copy = await bulkStandby();
    const to = recordBehind(BULK / 2);
    pour(copy, bytes, end(copy));
    const cut = copy.truncate(to);
    await cut;
    expect([copy.validatedEnd(), end(copy), copy.uncheckedBytes()]).toEqual([to, to, 0]);
    for (const queue of copy.queues()) {
      expect(queue.max).toBeLessThan(source.bounds(queue)!.max);
    }
    pour(copy, bytes, to);
    await copy.dispatched();
    await expectWhole(copy);
  });

  test('are all there after a close under way', async () => {
    const root = folder();
    let copy = await bulkStandby(root);
    pour(copy, bytes, end(copy));
    expect(copy.uncheckedBytes()).toBeGreaterThan(0);
    await copy.close();
    copy = await open(root);
    await expectWhole(copy);
  });

  test('a promotion waits for them, and local records follow', async () => {
    const copy = await bulkStandby();
    pour(copy, bytes, end(copy), bytes.length - 20);
    await copy.dispatched();
    const startOffset = copy.validatedEnd();
    expect(startOffset).toBe(source.lastRecordOffset());
    copy.guard.promote({ opId: 'p', fromEpoch: 0, startOffset });
    const made = { ...copy.append(recordSource(copy, { topic: 't0', queueId: 0 })) };
    expect(made.physicalOffset).toBe(startOffset);
    await copy.flush();
    await copy.dispatched();
    expect(copy.readRecord(startOffset).length).toBe(made.sizeBytes);
  });
});

describe('a kill while bulk bytes wait', () => {
  /** What is on disk in this tick is what a kill -9 leaves. */
  function killed(root: string): string {
    const left = folder();
    fs.cpSync(root, left, { recursive: true });
    fs.rmSync(path.join(left, 'drLock'), { force: true });
    return left;
  }

  test('loses none of them', async () => {
    const root = folder();
    const copy = await bulkStandby(root);
    pour(copy, bytes, end(copy), bytes.length - 100);
    expect(copy.uncheckedBytes()).toBeGreaterThan(4 * BULK);
    const again = await open(killed(root));
    expect(again.validatedEnd()).toBe(source.lastRecordOffset());
    pour(again, bytes, again.validatedEnd());
    await again.dispatched();
    await expectWhole(again);
  });

  test('SIGKILL again and again during a catch-up: what was told stays, the copy becomes whole', async () => {
    const root = folder();
    const log = path.join(folder(), 'log');
    fs.writeFileSync(log, bytes);
    let kills = 0;
    for (let lines = 2; ; lines += 3) {
      const { told, isLevel, isAhead } = await pourAndKill(root, log, lines);
      if (isAhead) kills++;
      const copy = await open(root);
      expect(copy.validatedEnd()).toBeGreaterThanOrEqual(told);
      expect(copy.storeBounds().maxOffset).toBe(copy.validatedEnd());
      expect((await readAll(copy)).equals(bytes.subarray(0, copy.validatedEnd()))).toBe(true);
      if (isLevel) await expectWhole(copy);
      await copy.close();
      if (isLevel) break;
    }
    expect(kills).toBeGreaterThan(1);
  });

  test('and one of them is damaged: the copy ends before it and goes on', async () => {
    const root = folder();
    const copy = await bulkStandby(root);
    const at = recordBehind(5 * BULK);
    pour(copy, damagedAt(at), end(copy));
    const left = killed(root);
    const again = await open(left);
    expect([again.validatedEnd(), end(again)]).toEqual([at, at]);
    expect(fs.readdirSync(path.join(left, 'setaside'))).toHaveLength(1);
    pour(again, bytes, at);
    await again.dispatched();
    await expectWhole(again);
  });

  test('damage in what was checked before stays an error', async () => {
    const root = folder();
    const copy = await bulkStandby(root);
    await copy.dispatched();
    await copy.flush();
    await partsOf(copy as FileMessageStore).keeping.checkpoint(true);
    const at = recordBehind(BULK / 2);
    pour(copy, bytes, end(copy));
    const left = killed(root);
    const file = path.join(left, 'commitlog', '0'.repeat(20));
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.from([1, 2, 3]), 0, 3, at + 8);
    fs.closeSync(fd);
    fs.rmSync(path.join(left, 'consumequeue'), { recursive: true });
    const opened = open(left).catch(DrError.from);
    expect(await opened).toMatchObject({ code: 'CORRUPT', context: { offset: at } });
  });

  test('after a promotion, damage of local records is no damage of the link', async () => {
    const root = folder();
    const copy = await bulkStandby(root);
    pour(copy, bytes, end(copy));
    await copy.dispatched();
    copy.guard.promote({ opId: 'p', fromEpoch: 0, startOffset: copy.validatedEnd() });
    const first = { ...copy.append(recordSource(copy, { topic: 't0', queueId: 0 })) };
    copy.append(recordSource(copy, { topic: 't0', queueId: 0 }));
    await copy.flush();
    const left = killed(root);
    const start = first.physicalOffset - (first.physicalOffset % FILE_BYTES);
    const file = path.join(left, 'commitlog', String(start).padStart(20, '0'));
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.from([1, 2, 3]), 0, 3, first.physicalOffset - start + 8);
    fs.closeSync(fd);
    const opened = open(left).catch(DrError.from);
    expect(await opened).toMatchObject({
      code: 'CORRUPT',
      context: { offset: first.physicalOffset },
    });
  });
});
