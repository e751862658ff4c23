// When the name of a new log file is on disk, and what waits for it: everything that is called durable,
// and nothing else, above all not the loop.
import * as fs from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import type { MessageStore, StoreOptions } from '../../../core-broker/store/index.ts';
import { openStore } from '../../../core-broker/store/index.ts';
import { BrokenDisk } from '../../support/broken-disk.ts';
import { FaultyFiles } from '../../support/faulty-files.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';
import { until } from '../../support/until.ts';

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const;
const FILE_BYTES = 4096;
const SMALL = { mappedFileSizeCommitLog: FILE_BYTES, flushIntervalCommitLogMs: 3_600_000 };

let root: string;
let disk: BrokenDisk;
let store: MessageStore;
let release: () => void;

beforeEach(() => {
  root = tempFolder();
  disk = new BrokenDisk();
});
afterEach(async () => {
  release?.();
  await store.close();
  fs.rmSync(root, { recursive: true });
});

async function open(changed: Partial<StoreOptions> = {}): Promise<void> {
  store = await openStore(smallStoreOptions(root, { ...SMALL, ...changed }), disk);
}
function append(bytes = 100): number {
  const source = recordSource(store, { body: Buffer.alloc(bytes, 5) });
  const { physicalOffset, sizeBytes } = store.append(source);
  return physicalOffset + sizeBytes;
}
/** From now on syncs of the folder wait for release(). */
function hold(): void {
  const held = Promise.withResolvers<void>();
  disk.folderHold = held.promise;
  release = held.resolve;
}
/** One record in the first file, then the folder is slow, then one that begins the second file. */
async function intoSecondFile(): Promise<number> {
  await store.durable(append());
  await store.flush();
  disk.folderSyncs = 0;
  hold();
  return append(FILE_BYTES - 300);
}

test('ASYNC_FLUSH acknowledges while the name waits for the disk; flushed waits with it', async () => {
  await open();
  const second = await intoSecondFile();
  expect(second).toBeGreaterThan(FILE_BYTES);
  await store.durable(second);
  let isFlushed = false;
  const flushing = store.flush().then(() => {
    isFlushed = true;
  });
  await until(() => disk.folderSyncs === 1, 'the sync of the folder');
  const third = append();
  await store.durable(third);
  expect([isFlushed, store.storeBounds().flushedOffset < FILE_BYTES]).toEqual([false, true]);
  release();
  await flushing;
  expect(store.storeBounds().flushedOffset).toBeGreaterThanOrEqual(second);
});

test('SYNC_FLUSH acknowledges nothing in a new file before its name is on disk', async () => {
  await open(SYNC);
  const told: number[] = [];
  const second = await intoSecondFile();
  store.onDurable((end) => told.push(end));
  await until(() => disk.folderSyncs === 1, 'the sync of the folder');
  const name = `${root}/commitlog/${String(FILE_BYTES).padStart(20, '0')}`;
  const at = second - FILE_BYTES - 200;
  await until(() => fs.readFileSync(name)[at] === 5, 'the write');
  await new Promise((resolve) => setImmediate(resolve));
  expect(told.filter((end) => end > FILE_BYTES)).toEqual([]);
  expect(store.storeBounds().flushedOffset).toBeLessThanOrEqual(FILE_BYTES);
  release();
  await store.durable(second);
  expect(store.storeBounds().flushedOffset).toBe(second);
});

test('a file made while the folder is synced waits for the next sync', async () => {
  await open();
  await intoSecondFile();
  const flushing = store.flush();
  await until(() => disk.folderSyncs === 1, 'the first sync of the folder');
  const third = append(FILE_BYTES - 300);
  await store.durable(third);
  release();
  await flushing;
  await store.flush();
  expect(disk.folderSyncs).toBe(2);
  expect(store.storeBounds().flushedOffset).toBe(third);
});

test.each([{}, SYNC])('a name that cannot be made durable stops the store (%o)', async (mode) => {
  await open(mode);
  const second = await intoSecondFile();
  const flushing = store.flush().catch((reason: unknown) => DrError.from(reason).code);
  await until(() => disk.folderSyncs === 1, 'the sync of the folder');
  disk.failure = 'EIO';
  release();
  expect(await flushing).toBe('UNEXPECTED');
  disk.failure = undefined;
  expect(() => append()).toThrow(DrError);
  expect(store.storeBounds().flushedOffset).toBeLessThan(second);
});

test('a boot makes the names durable that a killed process may have left', async () => {
  await open();
  await store.durable(append());
  await store.close();
  const faulty = new FaultyFiles();
  try {
    faulty.rules = [{ path: /commitlog$/, on: 'sync', fails: 'EIO' }];
    await expect(open()).rejects.toThrow('EIO');
    expect(faulty.hits).toBe(1);
  } finally {
    faulty.restore();
  }
});
