// When an append may be acknowledged, and what happens when the disk does not play along.
import * as fs from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { DrError, type Epoch, LIMITS } from '../../../core-broker/base/index.ts';
import type { MessageStore, StoreOptions } from '../../../core-broker/store/index.ts';
import { openStore } from '../../../core-broker/store/index.ts';
import { BrokenDisk } from '../../support/broken-disk.ts';
import { patiently } from '../../support/patiently.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';
import { until } from '../../support/until.ts';

const folders: string[] = [];
const stores: MessageStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const each of folders.splice(0)) fs.rmSync(each, { recursive: true });
});
const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;

async function open(disk: BrokenDisk, changed: Partial<StoreOptions> = {}, root = tempFolder()) {
  if (!folders.includes(root)) folders.push(root);
  const store = await openStore(smallStoreOptions(root, changed), disk);
  stores.push(store);
  return { store, root };
}
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (reason) {
    return DrError.from(reason).code;
  }
  return 'done';
};
function appendOne(store: MessageStore, bytes = 100): number {
  const source = recordSource(store, { body: Buffer.alloc(bytes, 5) });
  const { physicalOffset, sizeBytes } = store.append(source);
  return physicalOffset + sizeBytes;
}

test('a later commit that reached the disk before an earlier one was refused leaves no trace', async () => {
  const disk = new BrokenDisk();
  const { store, root } = await open(disk, SYNC);
  const kept = appendOne(store);
  await store.durable(kept);
  disk.isHeld = true;
  const first = appendOne(store);
  await until(() => disk.heldWrites === 1, 'one write held');
  const second = appendOne(store, 300);
  await until(() => disk.heldWrites === 2, 'two writes held');
  const refused = [first, second].map((end) => store.durable(end).catch((reason) => reason.code));
  const file = `${root}/commitlog/00000000000000000000`;
  disk.releaseNewest();
  const written = () => fs.readFileSync(file).subarray(first, second);
  await until(() => written().some((byte) => byte !== 0), 'the first write');
  disk.roomBytes = 0;
  disk.releaseNewest();
  expect(await Promise.all(refused)).toEqual(['DISK_FULL', 'DISK_FULL']);
  // After a crash a record there would stand behind others, or come back though its sender was told no.
  expect(
    fs
      .readFileSync(file)
      .subarray(kept)
      .every((byte) => byte === 0),
  ).toBe(true);
  expect(store.storeBounds().maxOffset).toBe(kept);
});

describe('acknowledgement', () => {
  test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'] as const)(
    '%s: nothing before the write',
    async (type) => {
      const { store, root } = await open(new BrokenDisk(), { flushDiskType: type });
      const told: number[] = [];
      store.onDurable((end) => told.push(end));
      const end = appendOne(store);
      expect(store.storeBounds().writtenOffset).toBe(0);
      expect(store.bounds({ topic: 'orders', queueId: 0 })).toBeUndefined();
      expect(told).toEqual([]);
      await store.durable(end);
      expect(told).toEqual([end]);
      const bytes = fs.readFileSync(`${root}/commitlog/00000000000000000000`);
      expect(bytes.subarray(0, end).equals(store.readRecord(0))).toBe(true);
      if (type === 'SYNC_FLUSH') expect(store.storeBounds().flushedOffset).toBe(end);
    },
  );

  test('three commits in flight that end out of order are acknowledged in order', async () => {
    const disk = new BrokenDisk();
    const { store } = await open(disk, SYNC);
    disk.isHeld = true;
    const told: number[] = [];
    store.onDurable((end) => told.push(end));
    const ends: number[] = [];
    for (let held = 1; held <= 3; held++) {
      ends.push(appendOne(store));
      await patiently(() => expect(disk.heldWrites).toBe(held));
    }
    const fourth = appendOne(store);
    await new Promise((resolve) => setImmediate(resolve));
    expect(disk.heldWrites).toBe(3);
    const log = `${folders[0]}/commitlog/00000000000000000000`;
    for (const end of ends.slice(1).reverse()) {
      disk.releaseNewest();
      await patiently(() => expect(fs.readFileSync(log)[end - 10]).toBe(5));
      expect(told).toEqual([]);
      expect(store.storeBounds().writtenOffset).toBe(0);
    }
    disk.releaseNewest();
    await store.durable(ends[2] as number);
    expect(told[0]).toBeGreaterThanOrEqual(ends[0] as number);
    disk.isHeld = false;
    disk.releaseNewest();
    await store.durable(fourth);
    expect(told).toEqual([...told].sort((a, b) => a - b));
  });

  test.each([{}, SYNC])('short writes are continued (%o)', async (mode) => {
    const disk = new BrokenDisk();
    const { store } = await open(disk, mode);
    disk.shortBytes = 37;
    for (let i = 0; i < 20; i++) appendOne(store, i * 10);
    await store.flush();
    disk.shortBytes = Number.POSITIVE_INFINITY;
    let count = 0;
    for await (const _ of store.scan(0, store.storeBounds().maxOffset)) count++;
    expect(count).toBe(20);
  });

  test('too many bytes that wait for the disk are refused and accepted later', async () => {
    const disk = new BrokenDisk();
    const changed = { mappedFileSizeCommitLog: 64 * 1024 * 1024, ...SYNC };
    const { store } = await open(disk, changed);
    disk.isHeld = true;
    let code = 'done';
    let accepted = 0;
    while (code === 'done') {
      code = codeOf(() => appendOne(store, 32_000));
      if (code === 'done') accepted++;
    }
    expect(code).toBe('BUSY');
    expect(accepted).toBe(Math.floor(LIMITS.unflushedBytesMax / 32_097));
    disk.isHeld = false;
    await new Promise((resolve) => setImmediate(resolve));
    while (disk.heldWrites > 0) disk.releaseNewest();
    await store.flush();
    expect(codeOf(() => appendOne(store, 32_000))).toBe('done');
  });
});

describe('a full disk', () => {
  test.each([{}, SYNC])(
    'gives up what it did not take, refuses writes, serves reads, recovers (%o)',
    async (mode) => {
      const disk = new BrokenDisk();
      const { store, root } = await open(disk, mode);
      const acked = appendOne(store);
      await store.durable(acked);
      disk.roomBytes = 150;
      const pending = appendOne(store, 200);
      // The queue's counter goes back too: 1 is used again.
      await expect(store.durable(pending)).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(codeOf(() => appendOne(store))).toBe('DISK_FULL');
      expect(store.storeBounds().maxOffset).toBe(acked);
      const told: number[] = [];
      store.onDurable((end) => told.push(end));
      expect(store.readRecord(0).length).toBe(acked);
      const limit = { messagesMax: 9, bytesMax: 1e6, tagCodes: undefined };
      expect(store.pull({ topic: 'orders', queueId: 0 }, 0, limit).messageCount).toBe(1);
      await expect(store.flush()).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(told.some((end) => end >= pending)).toBe(false);
      disk.roomBytes = Number.POSITIVE_INFINITY;
      await patiently(() => expect(codeOf(() => appendOne(store))).toBe('done'));
      await expect(store.durable(pending + 1_000)).rejects.toMatchObject({ code: 'DISK_FULL' });
      await store.close();
      expect(told.filter((end) => end > acked)).toHaveLength(1);
      const again = await open(new BrokenDisk(), {}, root);
      expect(again.store.bounds({ topic: 'orders', queueId: 0 })?.max).toBe(2);
    },
  );

  test('a later write that reached the disk leaves no phantom for the next boot', async () => {
    const disk = new BrokenDisk();
    const { store, root } = await open(disk, SYNC);
    const acked = appendOne(store, 300);
    await store.durable(acked);
    disk.isHeld = true;
    const first = store.durable(appendOne(store, 300));
    const refused = expect(first).rejects.toMatchObject({ code: 'DISK_FULL' });
    await patiently(() => expect(disk.heldWrites).toBe(1));
    const second = store.durable(appendOne(store, 300));
    const alsoRefused = expect(second).rejects.toMatchObject({ code: 'DISK_FULL' });
    await patiently(() => expect(disk.heldWrites).toBe(2));
    disk.releaseNewest();
    await new Promise((resolve) => setTimeout(resolve, 50));
    disk.roomBytes = 0;
    disk.isHeld = false;
    disk.releaseNewest();
    await refused;
    await alsoRefused;
    disk.roomBytes = Number.POSITIVE_INFINITY;
    await patiently(() => expect(codeOf(() => appendOne(store, 300))).toBe('done'));
    await store.flush();
    await store.close();
    fs.writeFileSync(`${root}/abort`, '');
    const again = await open(new BrokenDisk(), {}, root);
    expect(again.store.bounds({ topic: 'orders', queueId: 0 })?.max).toBe(2);
    expect(again.store.storeBounds().maxOffset).toBe(2 * acked);
  });

  test('a close while it is full leaves the abort marker and every acknowledged record', async () => {
    const disk = new BrokenDisk();
    const { store, root } = await open(disk);
    const acked = appendOne(store);
    await store.durable(acked);
    disk.roomBytes = 0;
    const lost = store.durable(appendOne(store));
    const outcome = expect(lost).rejects.toMatchObject({ code: 'DISK_FULL' });
    await patiently(() => expect(codeOf(() => appendOne(store))).toBe('DISK_FULL'));
    await store.close();
    await outcome;
    expect(fs.existsSync(`${root}/abort`)).toBe(true);
    const again = await open(new BrokenDisk(), {}, root);
    expect(again.store.storeBounds().maxOffset).toBe(acked);
  });

  test('under the link gives DISK_FULL and the same end, then goes on', async () => {
    const { store: source } = await open(new BrokenDisk());
    for (let i = 0; i < 10; i++) appendOne(source);
    await source.flush();
    const bytes = (await source.readLog(0, 100_000)) as Buffer;
    const disk = new BrokenDisk();
    const standby = await open(disk, { region: 'west', initialRole: 'standby' });
    disk.roomBytes = 700;
    const append = () => standby.store.appendExact(0, bytes, 0 as Epoch);
    expect(codeOf(append)).toBe('DISK_FULL');
    expect(standby.store.validatedEnd()).toBe(0);
    disk.roomBytes = Number.POSITIVE_INFINITY;
    append();
    expect(standby.store.validatedEnd()).toBe(bytes.length);
  });
});

describe('a disk that fails', () => {
  test.each([{}, SYNC])('is never acknowledged and stops the store (%o)', async (mode) => {
    const disk = new BrokenDisk();
    const { store } = await open(disk, mode);
    const acked = appendOne(store);
    await store.durable(acked);
    disk.failure = 'EIO';
    const told: number[] = [];
    store.onDurable((end) => told.push(end));
    await expect(store.durable(appendOne(store))).rejects.toMatchObject({ code: 'UNEXPECTED' });
    disk.failure = undefined;
    expect(codeOf(() => appendOne(store))).toBe('UNEXPECTED');
    expect(told.filter((end) => end > acked)).toEqual([]);
    expect(store.readRecord(0).length).toBe(acked);
  });

  test('a failed fdatasync is final', async () => {
    const disk = new BrokenDisk();
    const { store } = await open(disk, { flushIntervalCommitLogMs: 3_600_000 });
    await store.durable(appendOne(store));
    disk.failure = 'EIO';
    await expect(store.flush()).rejects.toMatchObject({ code: 'UNEXPECTED' });
    disk.failure = undefined;
    expect(codeOf(() => appendOne(store))).toBe('UNEXPECTED');
  });
});
