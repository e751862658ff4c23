// The scrubber over a real store: what it finds, what it leaves alone, and that a repair is seen.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scrubber } from '../../../core-broker/store/check/scrubber.ts';
import { type MessageStore, openStore } from '../../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../../core-broker/store/message-store.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

let root = '';
let store: MessageStore;
beforeEach(async () => {
  root = tempFolder();
  const changed = { mappedFileSizeCommitLog: 1024 * 1024, maxMessageSizeBytes: 600_000 };
  store = await openStore(smallStoreOptions(root, changed));
  for (let i = 0; i < 400; i++) {
    // Some records are larger than what is read in one go.
    const size = i % 40 === 7 ? 500_000 : 2_000;
    store.append(recordSource(store, { body: Buffer.alloc(size, i) }));
    await store.flush();
  }
});
afterEach(async () => {
  await store.close();
  fs.rmSync(root, { recursive: true });
});

const file = (n: number) => path.join(root, 'commitlog', String(n * 1024 * 1024).padStart(20, '0'));

function flip(name: string, at: number): void {
  const fd = fs.openSync(name, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0] = byte[0]! ^ 0xff;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

async function pass(scrubber: Scrubber): Promise<number> {
  let total = 0;
  for (let bytes = await scrubber.step(); bytes > 0; bytes = await scrubber.step()) total += bytes;
  return total;
}

test('a sound log has no damage; every old file is read, the last one is not', async () => {
  const parts = partsOf(store as FileMessageStore);
  const scrubber = new Scrubber(parts, 0);
  const old = parts.files.all.length - 1;
  expect(old).toBeGreaterThan(3);
  expect(await pass(scrubber)).toBeGreaterThan(old * 500_000);
  expect(parts.state.damage).toEqual([]);
});

test('a record whose head is gone is damage too', async () => {
  const parts = partsOf(store as FileMessageStore);
  const scrubber = new Scrubber(parts, 0);
  // The magic of the first record.
  flip(file(2), 4);
  await pass(scrubber);
  expect(parts.state.damage).toEqual([{ file: file(2), offset: 2 * 1024 * 1024 }]);
});

test('damage is named with file and offset, once for each file, and goes when it is repaired', async () => {
  const parts = partsOf(store as FileMessageStore);
  const scrubber = new Scrubber(parts, 0);
  flip(file(1), 300_000);
  flip(file(3), 4_000);
  await pass(scrubber);
  expect(parts.state.damage.map((one) => one.file)).toEqual([file(1), file(3)]);
  expect(store.problems()).toHaveLength(2);
  flip(file(1), 300_000);
  await pass(scrubber);
  expect(parts.state.damage.map((one) => one.file)).toEqual([file(3)]);
});

test('files that retention takes meanwhile are no damage', async () => {
  const parts = partsOf(store as FileMessageStore);
  const scrubber = new Scrubber(parts, 0);
  await scrubber.step();
  parts.files.removeFirst();
  parts.files.removeFirst();
  await pass(scrubber);
  expect(parts.state.damage).toEqual([]);
});

test('it runs in the background at its rate', async () => {
  await store.close();
  flip(file(0), 5_000);
  flip(file(2), 5_000);
  const changed = { mappedFileSizeCommitLog: 1024 * 1024, scrubBytesPerSecond: 500_000_000 };
  store = await openStore(smallStoreOptions(root, changed));
  const { state } = partsOf(store as FileMessageStore);
  await expect.poll(() => state.damage.length).toBe(2);
});
