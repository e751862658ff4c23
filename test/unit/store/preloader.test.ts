// Cold reads off the loop: what is read ahead changes nothing in what a pull gives, and costs a fixed room.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { javaHashCode } from '../../../core-broker/protocol/index.ts';
import {
  type MessageStore,
  openStore,
  type PullLimit,
  type PullResult,
  type RecordFilter,
} from '../../../core-broker/store/index.ts';
import { partsOf } from '../../../core-broker/store/message-store.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const QUEUES = 3;
const MESSAGES = 900;
const TAGS = ['a', 'b', 'c', 'd', 'e'];
const ALL = { messagesMax: 32, bytesMax: 20_000, tagCodes: undefined };

let root = '';
let store: MessageStore;
beforeEach(async () => {
  root = tempFolder();
  store = await openStore(smallStoreOptions(root));
  let seed = 7;
  for (let i = 0; i < MESSAGES; i++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const body = Buffer.alloc(40 + (seed % 900), i);
    const properties = { TAGS: TAGS[(seed >>> 8) % TAGS.length] as string };
    store.append(recordSource(store, { body, queueId: (seed >>> 12) % QUEUES, properties }));
    if (i % 50 === 49) await store.flush();
  }
  await store.flush();
  await reopen();
});
afterEach(async () => {
  await store.close();
  fs.rmSync(root, { recursive: true });
});

/** Nothing of the log is in memory of ours then. */
async function reopen(): Promise<void> {
  await store.close();
  store = await openStore(smallStoreOptions(root));
}

const filesOf = () => partsOf(store as Parameters<typeof partsOf>[0]).files;
const queue = (queueId: number) => ({ topic: 'orders', queueId });
const bytesOf = (result: PullResult): string => Buffer.concat(result.chunks).toString('hex');

/** A pull as the broker does it: asks until nothing is to be read. */
async function coldPull(queueId: number, from: number, limit: PullLimit) {
  for (let waits = 0; ; waits++) {
    const own = { ...limit };
    const loading = store.preload(queue(queueId), from, own);
    if (loading === undefined) return { result: store.pull(queue(queueId), from, own), waits };
    expect(waits).toBeLessThan(4);
    await loading;
  }
}

const oddBytes: RecordFilter = {
  work: 1,
  matchesBytes: (bytes, start) => (bytes[start + 5] ?? 0) % 2 === 1,
};

const LIMITS: [string, PullLimit][] = [
  ['everything', ALL],
  ['few bytes', { ...ALL, bytesMax: 1 }],
  ['a tag', { ...ALL, tagCodes: new Set([javaHashCode('b')]) }],
  ['a tag that is nowhere', { ...ALL, tagCodes: new Set([4_711]) }],
  ['an expression', { ...ALL, filter: oddBytes }],
  ['old data', { ...ALL, cold: { below: 1e9, messagesMax: 8, bytesMax: 3_000 } }],
];

describe('a pull that was read ahead for', () => {
  test.each(LIMITS)('gives the same as one that was not: %s', async (_, limit) => {
    let waits = 0;
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      let from = 0;
      for (;;) {
        const cold = await coldPull(queueId, from, limit);
        const plain = store.pull(queue(queueId), from, { ...limit });
        const { chunks: _chunks, ...facts } = plain;
        expect(cold.result).toMatchObject(facts);
        const again = await coldPull(queueId, from, limit);
        expect(bytesOf(again.result)).toBe(bytesOf(store.pull(queue(queueId), from, { ...limit })));
        waits += cold.waits;
        if (plain.nextBeginOffset <= from) break;
        from = plain.nextBeginOffset;
      }
      expect(from).toBe(store.bounds(queue(queueId))?.max);
    }
    expect(waits).toBeGreaterThan(0);
  });

  test('never waits for what is still in the ring, nor outside the queue', async () => {
    expect(store.preload(queue(9), 0, { ...ALL })).toBeUndefined();
    expect(store.preload(queue(0), 100_000, { ...ALL })).toBeUndefined();
    expect(store.preload(queue(0), -1, { ...ALL })).toBeUndefined();
    const { queueOffset } = store.append(recordSource(store, { body: 'new' }));
    await store.dispatched();
    expect(store.preload(queue(0), queueOffset, { ...ALL })).toBeUndefined();
    expect(store.preload(queue(0), 0, { ...ALL })).toBeDefined();
  });

  test('does not serve a damaged record', async () => {
    const { result } = await coldPull(0, 0, { ...ALL, messagesMax: 5 });
    const at = partsOf(store as Parameters<typeof partsOf>[0])
      .topics.find(queue(0))
      ?.physicalAt(3);
    expect(result.messageCount).toBe(5);
    const file = path.join(root, 'commitlog', '0'.repeat(20));
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.from([0xff, 0xee]), 0, 2, (at ?? 0) + 100);
    fs.closeSync(fd);
    await reopen();
    const before = await coldPull(0, 0, ALL);
    expect([before.result.messageCount, before.result.nextBeginOffset]).toEqual([3, 3]);
    await expect(coldPull(0, 3, ALL)).rejects.toThrow(/damaged record/);
  });
});

test('entries of a queue that was cut are not remembered', () => {
  const { topics } = partsOf(store as Parameters<typeof partsOf>[0]);
  const cut = topics.find(queue(0));
  if (cut === undefined) throw new Error('the queue is gone');
  expect(cut.read(10, 4).count).toBe(4);
  cut.cut(cut.physicalAt(12));
  expect(cut.max).toBe(12);
  cut.put(12, { physicalOffset: 4_711, size: 99 }, { high: 0, low: 0 });
  cut.writeOut();
  expect(cut.releaseTail()).toBe(true);
  const { bytes, at } = cut.read(12, 1);
  expect(bytes.readBigInt64BE(at)).toBe(4_711n);
  expect(cut.sizeAt(12)).toBe(99);
});

test('a limit that is used again selects again', async () => {
  await coldPull(0, 0, ALL);
  const limit = { ...ALL };
  expect(store.preload(queue(0), 0, limit)).toBeUndefined();
  const other = store.pull(queue(0), 5, limit);
  expect(bytesOf(other)).toBe(bytesOf(store.pull(queue(0), 5, { ...ALL })));
});

describe('what is read ahead', () => {
  /** Puts a gate before every read of the log. */
  function gate() {
    const files = filesOf();
    const read = files.read.bind(files);
    const state = { reads: [] as (() => void)[], rooms: new Set<Buffer>(), most: 0, now: 0 };
    files.read = async (offset, length, room) => {
      state.now++;
      state.most = Math.max(state.most, state.now);
      if (room !== undefined) state.rooms.add(room);
      await new Promise<void>((go) => state.reads.push(go));
      try {
        return await read(offset, length, room);
      } finally {
        state.now--;
      }
    };
    return state;
  }

  async function entriesThere(): Promise<void> {
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      await store.preload(queue(queueId), 0, { ...ALL });
      await store.preload(queue(queueId), 250, { ...ALL });
    }
  }

  test('takes two threads and two rooms, whoever waits; who wants the same waits together', async () => {
    await entriesThere();
    await reopen();
    const state = gate();
    const waiting: Promise<void>[] = [];
    for (let round = 0; round < 20; round++) {
      for (let queueId = 0; queueId < QUEUES; queueId++) {
        const loading = store.preload(queue(queueId), round * 12, { ...ALL });
        if (loading !== undefined) waiting.push(loading);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const go of state.reads.splice(0)) go();
    }
    let isOver = false;
    const all = Promise.all(waiting).then(() => {
      isOver = true;
    });
    while (!isOver) {
      for (const go of state.reads.splice(0)) go();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await all;
    expect(waiting.length).toBeGreaterThan(5);
    expect(state.most).toBeLessThanOrEqual(2);
    expect(state.rooms.size).toBeLessThanOrEqual(2);
  });

  test('may be deleted meanwhile: the pull then says what is left', async () => {
    await store.preload(queue(0), 0, { ...ALL });
    const state = gate();
    const loading = store.preload(queue(0), 0, { ...ALL });
    expect(loading).toBeDefined();
    const { files, topics } = partsOf(store as Parameters<typeof partsOf>[0]);
    files.removeFirst();
    topics.find(queue(0))?.trimTo(files.minOffset);
    for (const go of state.reads.splice(0)) go();
    await loading;
    const after = store.pull(queue(0), 0, ALL);
    expect(after.status).toBe('OFFSET_TOO_SMALL');
    expect(after.nextBeginOffset).toBe(store.bounds(queue(0))?.min);
    expect(after.nextBeginOffset).toBeGreaterThan(0);
  });

  test('may fail: the pull itself meets the fault', async () => {
    await store.preload(queue(0), 0, { ...ALL });
    filesOf().read = () => Promise.reject(new Error('EIO'));
    await expect(store.preload(queue(0), 0, { ...ALL })).resolves.toBeUndefined();
    expect(store.pull(queue(0), 0, ALL).status).toBe('FOUND');
  });

  test('may outlive the store', async () => {
    await store.preload(queue(0), 0, { ...ALL });
    const state = gate();
    const loading = store.preload(queue(0), 0, { ...ALL });
    await store.close();
    for (const go of state.reads.splice(0)) go();
    await expect(loading).resolves.toBeUndefined();
    store = await openStore(smallStoreOptions(root));
  });
});
