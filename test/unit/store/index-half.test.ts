// A record whose keys are only partly in the index, because the disk filled between two of them: the rest
// follows, none comes twice, in the same process and after a kill.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MessageStore, openStore, verifyQueues } from '../../../core-broker/store/index.ts';
import { IndexService } from '../../../core-broker/store/queue/index-service.ts';
import { FaultyFiles } from '../../support/faulty-files.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';
import { until } from '../../support/until.ts';

/** An index file of the small store takes 399 entries: with two keys each, one record stands half in it. */
const RECORDS = 210;
const KEYS = 2 * RECORDS;
const SHAPE = { maxHashSlotNum: 100, maxIndexNum: 400 };
let root = '';
let copy = '';
let disk: FaultyFiles;
beforeEach(() => {
  root = tempFolder();
  copy = `${root}-killed`;
  disk = new FaultyFiles();
});
afterEach(() => {
  disk.restore();
  for (const folder of [root, copy]) fs.rmSync(folder, { recursive: true, force: true });
});

const append = (store: MessageStore, i: number) =>
  store.append(recordSource(store, { properties: { KEYS: `a${i} b${i}` } }));
const indexFiles = () => fs.readdirSync(path.join(root, 'index'));

/** Fills the index until it fails between two keys; it fails until `disk.rules` is emptied. */
async function standsHalf(what: 'old' | 'new'): Promise<MessageStore> {
  const store = await openStore(smallStoreOptions(root));
  append(store, 0);
  await store.flush();
  const [first] = indexFiles();
  const failing = what === 'old' ? first : `(?!${first})`;
  disk.rules = [{ path: new RegExp(`/index/${failing}`), on: 'write', fails: 'ENOSPC' }];
  for (let i = 1; i < RECORDS; i++) append(store, i);
  await store.flush();
  await until(() => disk.hits > 1, 'a second try');
  return store;
}

async function expectWhole(folder: string): Promise<void> {
  const { records, indexEntries, indexFaults, faults } = await verifyQueues(folder, SHAPE);
  expect({ records, indexEntries, indexFaults, faults }).toEqual({
    records: RECORDS,
    indexEntries: KEYS,
    indexFaults: 0,
    faults: [],
  });
}

/** `old`: the full file cannot be written out; `new`: it is, and the next one cannot be made. */
for (const what of ['old', 'new'] as const) {
  test(`the ${what} file fails between two keys: the second is put when there is room`, async () => {
    const store = await standsHalf(what);
    expect(indexFiles()).toHaveLength(1);
    disk.rules = [];
    await store.dispatched();
    const range = { topic: 'orders', beginMs: 0, endMs: Date.now() + 1000 };
    expect(await store.find({ ...range, key: 'b199' }, 9)).toHaveLength(1);
    await store.close();
    await expectWhole(root);
  });

  test(`the ${what} file fails between two keys and the process is killed`, async () => {
    const store = await standsHalf(what);
    fs.cpSync(root, copy, { recursive: true });
    disk.rules = [];
    await store.close();
    const again = await openStore(smallStoreOptions(copy));
    await again.dispatched();
    await again.close();
    await expectWhole(copy);
  });
}

test('how many keys of the newest record are there is read from the files, over several of them', async () => {
  const shape = { slots: 5, entries: 4 };
  const counts = (index: IndexService) => [50, 70, 90].map((offset) => index.keysOf(offset));
  const index = new IndexService(root, shape);
  index.put(1, 50, 1000);
  for (let key = 1; key <= 6; key++) index.put(key, 70, 2000);
  expect(counts(index)).toEqual([Number.POSITIVE_INFINITY, 6, 0]);
  await index.flush(true);
  index.close();
  const again = new IndexService(root, shape);
  again.load();
  expect(counts(again)).toEqual([Number.POSITIVE_INFINITY, 6, 0]);
  again.cut(70, false);
  expect(counts(again)).toEqual([1, 0, 0]);
  again.close();
});
