// Queues and index built again from the log of a closed store, and the comparison of both with the log.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type MessageStore,
  openStore,
  rebuildQueues,
  verifyQueues,
} from '../../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../../core-broker/store/message-store.ts';
import { FaultyFiles } from '../../support/faulty-files.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const SHAPE = { maxHashSlotNum: 100, maxIndexNum: 400 };
let root = '';
let store: MessageStore | undefined;
beforeEach(() => {
  root = tempFolder();
});
afterEach(async () => {
  await store?.close();
  store = undefined;
  fs.rmSync(root, { recursive: true });
});

async function fill(count: number): Promise<void> {
  store = await openStore(smallStoreOptions(root));
  for (let i = 0; i < count; i++) {
    const topic = i % 5 === 0 ? 'SCHEDULE_TOPIC_XXXX' : `t${i % 3}`;
    const properties = { TAGS: `tag${i % 4}`, KEYS: `k${i} all`, DELAY: '3' };
    const body = Buffer.alloc(50 + ((i * 71) % 900), i);
    store.append(recordSource(store, { topic, queueId: i % 2, body, properties }));
    if (i % 50 === 49) await store.flush();
  }
  await closeStore();
}

async function closeStore(): Promise<void> {
  await store?.close();
  store = undefined;
}

/** Every consume queue file with its bytes. */
function queueBytes(): Record<string, string> {
  const folder = path.join(root, 'consumequeue');
  const files = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const isFile = (name: string) => fs.statSync(path.join(folder, name)).isFile();
  return Object.fromEntries(
    files.filter(isFile).map((n) => [n, fs.readFileSync(path.join(folder, n), 'hex')]),
  );
}

test('a queue file that a crash left without its size: full size again, every entry there', async () => {
  await fill(500);
  const before = queueBytes();
  const file = path.join(root, 'consumequeue', 't1', '0', '0'.repeat(20));
  fs.truncateSync(file, 0);
  store = await openStore(smallStoreOptions(root));
  await closeStore();
  expect(queueBytes()).toEqual(before);
});

describe('rebuild', () => {
  test('a crash that keeps some of the new queues and not others: the next boot builds all', async () => {
    await fill(500);
    // The last files of the log hold nothing of t0: a boot that reads only them would not miss it.
    store = await openStore(smallStoreOptions(root));
    for (let i = 0; i < 150; i++) {
      store.append(recordSource(store, { topic: 'later', body: Buffer.alloc(900, i) }));
    }
    await closeStore();
    const before = queueBytes();
    const disk = new FaultyFiles();
    try {
      // t0 was in the page cache only when the machine died; everything else had reached the disk.
      disk.rules = [
        { path: /consumequeue\/t0\//, on: 'write', forgets: true },
        { path: /consumequeue\/t0\//, on: 'sync', fails: 'EIO' },
      ];
      const shape = { ...SHAPE, mappedFileSizeConsumeQueue: 2_000 };
      await expect(rebuildQueues(root, shape)).rejects.toThrow(/EIO/);
    } finally {
      disk.restore();
    }
    expect(disk.hits).toBeGreaterThan(0);
    // A stock broker looks at the marker only.
    expect(fs.existsSync(path.join(root, 'abort'))).toBe(true);
    store = await openStore(smallStoreOptions(root));
    await closeStore();
    expect(queueBytes()).toEqual(before);
  });

  test('makes the same bytes that the running store had written', async () => {
    await fill(500);
    const before = queueBytes();
    expect(await verifyQueues(root, SHAPE)).toMatchObject({ missing: 0, wrong: 0, indexFaults: 0 });
    fs.rmSync(path.join(root, 'consumequeue'), { recursive: true });
    fs.rmSync(path.join(root, 'index'), { recursive: true });
    const progress: number[] = [];
    const report = await rebuildQueues(root, {
      ...SHAPE,
      mappedFileSizeConsumeQueue: 2_000,
      onProgress: (done) => progress.push(done),
    });
    expect(report).toMatchObject({ records: 500, queues: 8, hasTornTail: false });
    expect(progress.length).toBeGreaterThan(0);
    expect(queueBytes()).toEqual(before);
    expect(fs.existsSync(path.join(root, 'abort'))).toBe(false);
    expect(await verifyQueues(root, SHAPE)).toMatchObject({
      records: 500,
      missing: 0,
      wrong: 0,
      beyond: 0,
      indexFaults: 0,
      damage: undefined,
    });
    store = await openStore(smallStoreOptions(root));
    expect(await store.find({ topic: 't1', key: 'k7', beginMs: 0, endMs: 9e15 }, 9)).toHaveLength(
      1,
    );
  });

  test('takes the size of the queue files from what is there', async () => {
    await fill(300);
    const before = queueBytes();
    await rebuildQueues(root, SHAPE);
    expect(queueBytes()).toEqual(before);
  });

  test('keeps the end of a queue whose messages retention has removed', async () => {
    store = await openStore(smallStoreOptions(root));
    for (let i = 0; i < 7; i++) store.append(recordSource(store, { topic: 'gone' }));
    for (let i = 0; i < 300; i++) {
      store.append(recordSource(store, { body: Buffer.alloc(500, i) }));
      if (i % 50 === 49) await store.flush();
    }
    await store.flush();
    const { files } = partsOf(store as FileMessageStore);
    files.removeFirst();
    await closeStore();
    await rebuildQueues(root, SHAPE);
    store = await openStore(smallStoreOptions(root));
    const ref = { topic: 'gone', queueId: 0 };
    expect(store.bounds(ref)).toEqual({ min: 7, max: 7 });
    expect(store.append(recordSource(store, { topic: 'gone' })).queueOffset).toBe(7);
  });

  test('an interrupted one leaves a store whose next boot builds everything', async () => {
    await fill(300);
    const signal = AbortSignal.abort();
    await expect(rebuildQueues(root, { ...SHAPE, signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    store = await openStore(smallStoreOptions(root));
    await closeStore();
    expect(await verifyQueues(root, SHAPE)).toMatchObject({
      records: 300,
      missing: 0,
      wrong: 0,
      indexFaults: 0,
    });
  });

  test('names a damaged record and stops there', async () => {
    await fill(300);
    flip(path.join(root, 'commitlog', '00000000000000000000'), 20_000);
    const refused = rebuildQueues(root, SHAPE);
    await expect(refused).rejects.toMatchObject({ code: 'CORRUPT' });
    await expect(openStore(smallStoreOptions(root))).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('refuses a store that is in use', async () => {
    await fill(10);
    store = await openStore(smallStoreOptions(root));
    await expect(rebuildQueues(root, SHAPE)).rejects.toMatchObject({ code: 'LOCKED' });
  });
});

function flip(file: string, at: number): void {
  const bytes = fs.readFileSync(file);
  for (let i = at; i < at + 400; i++) bytes[i] = bytes[i]! ^ 0x55;
  fs.writeFileSync(file, bytes);
}

describe('verify', () => {
  test('counts entries that are missing, wrong or beyond the log', async () => {
    await fill(200);
    const file = path.join(root, 'consumequeue', 't1', '0', '00000000000000000000');
    const bytes = fs.readFileSync(file);
    bytes.writeInt32BE(12, 3 * 20 + 8);
    bytes.writeInt32BE(99, 4 * 20 + 16);
    bytes.fill(0, 20 * 20);
    fs.writeFileSync(file, bytes);
    const report = await verifyQueues(root, SHAPE);
    expect(report.wrong).toBe(2);
    expect(report.missing).toBeGreaterThan(0);
    expect(report.faults[0]).toMatchObject({ kind: 'wrong', topic: 't1', queueOffset: 3 });
    expect(report.damage).toBeUndefined();
  });

  test('finds keys that the index lost', async () => {
    await fill(100);
    const folder = path.join(root, 'index');
    const file = path.join(folder, fs.readdirSync(folder)[0] as string);
    const bytes = fs.readFileSync(file);
    bytes.writeInt32BE(1, 40 + 100 * 4 + 20 * 20);
    fs.writeFileSync(file, bytes);
    expect((await verifyQueues(root, SHAPE)).indexFaults).toBeGreaterThan(0);
  });

  test('what the next start builds after a kill is no damage; what it keeps is compared', async () => {
    await fill(100);
    store = await openStore(smallStoreOptions(root));
    for (let i = 0; i < 40; i++) {
      store.append(recordSource(store, { topic: 't1', properties: { KEYS: `late${i}` } }));
    }
    await store.flush();
    const killed = tempFolder();
    try {
      fs.cpSync(root, killed, { recursive: true });
      const sound = { missing: 0, wrong: 0, beyond: 0, indexFaults: 0, damage: undefined };
      const report = await verifyQueues(killed, SHAPE);
      expect(report).toMatchObject({ ...sound, records: 140 });
      expect(report.pending).toBeGreaterThan(0);
      const file = path.join(killed, 'consumequeue', 't1', '0', '00000000000000000000');
      const bytes = fs.readFileSync(file);
      bytes.writeInt32BE(99, 4 * 20 + 16);
      fs.writeFileSync(file, bytes);
      expect(await verifyQueues(killed, SHAPE)).toMatchObject({ ...sound, wrong: 1 });
      // Nothing is forgiven where a clean end was claimed.
      fs.rmSync(path.join(killed, 'abort'));
      const strict = await verifyQueues(killed, SHAPE);
      expect(strict.pending).toBe(0);
      expect(strict.missing + strict.indexFaults).toBe(report.pending);
    } finally {
      fs.rmSync(killed, { recursive: true });
    }
  });

  test('names a damaged record of the log', async () => {
    await fill(300);
    flip(path.join(root, 'commitlog', '00000000000000000000'), 20_000);
    const { damage } = await verifyQueues(root, SHAPE);
    expect(damage).toMatchObject({ file: path.join(root, 'commitlog', '00000000000000000000') });
    expect(damage?.nextValidOffset).toBeGreaterThan(damage?.offset ?? 0);
  });
});
