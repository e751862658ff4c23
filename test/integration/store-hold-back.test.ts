// Bytes of a bulk catch-up that are received first and checked later: what waits is readable nowhere, is in
// the files after a kill, and is checked before anything is decided about it.
// The clock of the policy stands still but for what a test lets pass; the checking thread is real.
import * as fs from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Epoch } from '../../core-broker/base/index.ts';
import { StoreSink } from '../../core-broker/broker/dr/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../core-broker/store/message-store.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const SHAPE = { mappedFileSizeCommitLog: 4 * MIB, mappedFileSizeConsumeQueue: 60_000 };
const EPOCH = 0 as Epoch;
const FAR_END = 2 ** 40;
const LOOK_MS = 25;
/** Received at full speed, before holding begins. */
const FIRST = 6 * MIB;

let bytes: Buffer;
let copy: MessageStore;
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

async function readAll(store: MessageStore): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; ; at += pieces.at(-1)!.length) {
    const piece = await store.readLog(at, MIB);
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece));
  }
}

beforeAll(async () => {
  const root = tempFolder();
  const source = await openStore(smallStoreOptions(root, SHAPE));
  const body = Buffer.alloc(2_000, 'x');
  for (let i = 0; i < 7_000; i++) {
    source.append(recordSource(source, { topic: `t${i % 2}`, queueId: i % 3, body }));
    if (i % 500 === 0) await source.flush();
  }
  await source.flush();
  await source.dispatched();
  bytes = await readAll(source);
  await source.close();
  fs.rmSync(root, { recursive: true });
});

/** A standby that was told of a source far ahead, checked FIRST bytes, and holds back what comes now. */
beforeEach(async () => {
  copy = await open(folder());
  pour(bytes, 0, MIB);
  const { exact } = partsOf(copy as FileMessageStore);
  await until(() => exact.hasThread, 'the thread to stand by');
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  copy.sourceHas(FAR_END, 64 * MIB);
  pour(bytes, MIB, FIRST);
  vi.advanceTimersByTime(LOOK_MS);
});
afterEach(async () => {
  vi.useRealTimers();
  for (const store of stores.splice(0)) await store.close();
  for (const each of folders.splice(0)) fs.rmSync(each, { recursive: true });
});
afterAll(() => expect(stores).toEqual([]));

function pour(what: Buffer, from: number, to: number): void {
  for (let at = from; at < to; at += MIB) {
    copy.appendExact(at, what.subarray(at, Math.min(to, at + MIB)), EPOCH);
  }
}

/** The rest arrives and waits; everything before it is checked. */
async function holdRest(what = bytes): Promise<void> {
  pour(what, FIRST, bytes.length);
  await until(() => copy.validatedEnd() > FIRST - 4_000, 'what came before to be checked');
  // Whoever is quicker than the checker would still find it at work.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(copy.validatedEnd()).toBeLessThanOrEqual(FIRST);
  expect(copy.uncheckedBytes()).toBe(bytes.length - copy.validatedEnd());
}

function recordBehind(from: number): number {
  for (let at = 0; ; at += bytes.readInt32BE(at)) {
    if (at >= from && bytes.readInt32BE(at + 4) !== -875286124) return at;
  }
}

function damagedAt(offset: number): Buffer {
  const bad = Buffer.from(bytes);
  bad[offset + 8] = bad[offset + 8]! ^ 1;
  return bad;
}

async function expectWhole(store: MessageStore): Promise<void> {
  expect([store.validatedEnd(), store.uncheckedBytes()]).toEqual([bytes.length, 0]);
  expect((await readAll(store)).equals(bytes)).toBe(true);
}

test('what is held back is in no queue, in no read and in no told end', async () => {
  await holdRest();
  const checked = copy.validatedEnd();
  expect(copy.storeBounds().dispatchedOffset).toBe(checked);
  expect(await copy.readLog(checked, 100)).toBeUndefined();
  expect(() => copy.readRecord(checked)).toThrow(/not in the log/);
  for (const queue of copy.queues()) expect(queue.max).toBeLessThan(7_000 / 6 / 2);
});

test('a stream that stops is checked without anybody asking', async () => {
  await holdRest();
  vi.advanceTimersByTime(2 * LOOK_MS);
  await until(() => copy.uncheckedBytes() === 0, 'the rest to be checked');
  await expectWhole(copy);
});

test('who waits for everything gets it at once, with no timer in between', async () => {
  await holdRest();
  await copy.dispatched();
  await expectWhole(copy);
});

test('who waits for progress sees the check go on when the end is asked for', async () => {
  await holdRest();
  const before = copy.validatedEnd();
  const more = copy.checkedMore();
  copy.checkNow();
  await more;
  expect(copy.validatedEnd()).toBeGreaterThan(before);
});

test('above the bound it is checked as it comes, the bound behind', async () => {
  copy.sourceHas(FAR_END, 2 * MIB);
  pour(bytes, FIRST, bytes.length);
  await until(() => copy.validatedEnd() > bytes.length - 7 * MIB, 'what exceeds the bound');
  expect(copy.uncheckedBytes()).toBeGreaterThanOrEqual(2 * MIB);
  expect(copy.validatedEnd()).toBeLessThanOrEqual(bytes.length - 2 * MIB);
});

test('a close checks it first', async () => {
  const { folder: log } = partsOf(copy as FileMessageStore).files;
  await holdRest();
  await copy.close();
  vi.useRealTimers();
  copy = await open(log.slice(0, log.lastIndexOf('/commitlog')));
  await expectWhole(copy);
});

test('a promotion waits for it: it follows the last held record', async () => {
  await holdRest();
  const sink = new StoreSink(copy, folder(), () => undefined);
  sink.closeGate('promotion');
  await copy.dispatched();
  await copy.flush();
  await sink.cutPartialRecord();
  const startOffset = copy.validatedEnd();
  expect(startOffset).toBe(bytes.length);
  copy.guard.promote({ opId: 'p', fromEpoch: 0, startOffset });
  const made = copy.append(recordSource(copy, { topic: 't0', queueId: 0 }));
  expect(made.physicalOffset).toBe(startOffset);
});

test('damage in it is found before a promotion, which ends before it', async () => {
  const at = recordBehind(FIRST + 2 * MIB);
  await holdRest(damagedAt(at));
  await copy.dispatched();
  expect([copy.validatedEnd(), copy.storeBounds().maxOffset]).toEqual([at, at]);
  await expect(copy.checkedMore()).rejects.toMatchObject({
    code: 'CORRUPT',
    context: { offset: at },
  });
  expect(await copy.readLog(at, 100)).toBeUndefined();
});

test('a kill -9 leaves it in the files: the copy goes on behind it', async () => {
  const { folder: log } = partsOf(copy as FileMessageStore).files;
  await holdRest();
  // What is on disk in this tick is what a kill leaves.
  const left = folder();
  fs.cpSync(log.slice(0, log.lastIndexOf('/commitlog')), left, { recursive: true });
  fs.rmSync(`${left}/drLock`, { force: true });
  vi.useRealTimers();
  await expectWhole(await open(left));
});

test('a cut under it leaves nothing of it to check', async () => {
  await holdRest();
  const to = recordBehind(MIB);
  await copy.truncate(to);
  vi.advanceTimersByTime(4 * LOOK_MS);
  expect([copy.validatedEnd(), copy.storeBounds().maxOffset, copy.uncheckedBytes()]).toEqual([
    to,
    to,
    0,
  ]);
  pour(bytes, to, bytes.length);
  await copy.dispatched();
  await expectWhole(copy);
});

test('once near the end of the source each range is checked at once', async () => {
  await holdRest(bytes);
  copy.sourceHas(bytes.length, 64 * MIB);
  await until(() => copy.uncheckedBytes() === 0, 'the rest to be checked');
  await expectWhole(copy);
});
