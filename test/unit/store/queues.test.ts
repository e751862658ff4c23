// Pull, bounds, time search, key lookup, arrivals and retention over a store with many small files.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { javaHashCode } from '../../../core-broker/protocol/index.ts';
import { type MessageStore, openStore } from '../../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

let root = '';
let store: MessageStore;
beforeEach(async () => {
  root = tempFolder();
  store = await openStore(smallStoreOptions(root));
});
afterEach(async () => {
  await store.close();
  fs.rmSync(root, { recursive: true });
});

const QUEUE = { topic: 'orders', queueId: 0 };
const ALL = { messagesMax: 32, bytesMax: 1_000_000, tagCodes: undefined };

async function fill(count: number, bodyBytes = 200): Promise<void> {
  for (let i = 0; i < count; i++) {
    const properties = { TAGS: ['a', 'b', 'c'][i % 3] as string, KEYS: `key${i} all` };
    store.append(recordSource(store, { body: Buffer.alloc(bodyBytes, i), properties }));
    if (i % 50 === 49) await store.flush();
  }
  await store.flush();
  await store.dispatched();
}

describe('pull', () => {
  test('answers by Apache rules outside the queue', async () => {
    expect(store.pull(QUEUE, 0, ALL).status).toBe('NO_MATCHED_LOGIC_QUEUE');
    await fill(10);
    const at = (from: number) => {
      const { status, nextBeginOffset } = store.pull(QUEUE, from, ALL);
      return [status, nextBeginOffset];
    };
    expect(at(10)).toEqual(['OFFSET_OVERFLOW_ONE', 10]);
    expect(at(11)).toEqual(['OFFSET_OVERFLOW_BADLY', 10]);
    expect(at(-1)).toEqual(['OFFSET_TOO_SMALL', 0]);
    expect(at(3)).toEqual(['FOUND', 10]);
  });

  test('keeps its limits but always answers one message', async () => {
    await fill(20);
    expect(store.pull(QUEUE, 0, { ...ALL, messagesMax: 7 }).messageCount).toBe(7);
    const two = store.pull(QUEUE, 4, { ...ALL, bytesMax: 700 });
    expect([two.messageCount, two.nextBeginOffset]).toEqual([2, 6]);
    const one = store.pull(QUEUE, 4, { ...ALL, bytesMax: 1 });
    expect([one.messageCount, one.nextBeginOffset]).toEqual([1, 5]);
  });

  test('filters by tag hash and moves over what it rejected', async () => {
    await fill(30);
    const found = store.pull(QUEUE, 0, { ...ALL, tagCodes: new Set([javaHashCode('b')]) });
    expect([found.status, found.messageCount, found.nextBeginOffset]).toEqual(['FOUND', 10, 30]);
    const none = store.pull(QUEUE, 0, { ...ALL, tagCodes: new Set([1]) });
    expect([none.status, none.nextBeginOffset]).toEqual(['NO_MATCHED_MESSAGE', 30]);
  });

  test('gives the same bytes from memory and from files', async () => {
    await fill(900);
    const read = () => {
      const chunks: Buffer[] = [];
      for (let next = 0; next < 900; ) {
        const pulled = store.pull(QUEUE, next, ALL);
        expect(pulled.messageCount).toBeGreaterThan(0);
        chunks.push(...pulled.chunks.map((chunk) => Buffer.from(chunk)));
        next = pulled.nextBeginOffset;
      }
      return Buffer.concat(chunks);
    };
    const fromMemory = read();
    await store.close();
    store = await openStore(smallStoreOptions(root));
    expect(read().equals(fromMemory)).toBe(true);
  });

  test('arrivals name queue, next offset and tag after the record is readable', async () => {
    const seen: unknown[] = [];
    store.onArrival({
      onArrival: (queue, next, code) => {
        const { messageCount } = store.pull(queue, next - 1, ALL);
        seen.push([queue.topic, queue.queueId, next, code, messageCount]);
      },
    });
    store.append(recordSource(store, { queueId: 2, properties: { TAGS: 'x' } }));
    await store.flush();
    expect(seen).toEqual([['orders', 2, 1, 120, 1]]);
  });
});

describe('search', () => {
  test('by time finds lower and upper boundaries', async () => {
    await fill(40);
    const times = Array.from({ length: 40 }, (_, n) => store.storeTimeOf(QUEUE, n));
    for (const ms of [times[0]! - 1, times[0]!, times[20]!, times[39]!, times[39]! + 1]) {
      const lower = times.findIndex((time) => time >= ms);
      const upper = times.findLastIndex((time) => time <= ms);
      expect(store.offsetByTime(QUEUE, ms)).toBe(lower < 0 ? 40 : lower);
      expect(store.offsetByTime(QUEUE, ms, 'upper')).toBe(Math.max(0, upper));
    }
    expect(() => store.storeTimeOf(QUEUE, 40)).toThrow(/no offset 40/);
  });

  test('by key finds records over several index files, newest first', async () => {
    await fill(500);
    expect(fs.readdirSync(path.join(root, 'index')).length).toBeGreaterThan(2);
    const range = { topic: 'orders', beginMs: 0, endMs: Date.now() };
    for (const n of [0, 250, 499]) {
      const [ref, ...more] = await store.find({ ...range, key: `key${n}` }, 32);
      expect(more).toEqual([]);
      const bytes = store.readRecord(ref!.physicalOffset);
      expect(Number(bytes.readBigInt64BE(20))).toBe(n);
      expect(bytes.length).toBe(ref!.sizeBytes);
    }
    const all = await store.find({ ...range, key: 'all' }, 1000);
    expect(all).toHaveLength(64);
    const offsets = all.map((ref) => ref.physicalOffset as number);
    expect(offsets).toEqual([...offsets].sort((a, b) => b - a));
    expect(await store.find({ ...range, key: 'key5', endMs: 1000 }, 9)).toEqual([]);
    expect(await store.find({ ...range, topic: 'other', key: 'key5' }, 9)).toEqual([]);
  });

  test('by key finds records from before and after a restart in one index file', async () => {
    await fill(5);
    await store.close();
    store = await openStore(smallStoreOptions(root));
    await fill(5);
    expect(fs.readdirSync(path.join(root, 'index'))).toHaveLength(1);
    const range = { topic: 'orders', beginMs: 0, endMs: Date.now() };
    expect(await store.find({ ...range, key: 'all' }, 32)).toHaveLength(10);
    expect(await store.find({ ...range, key: 'key3' }, 32)).toHaveLength(2);
  });

  test('an index file has Apache header, slots and entries', async () => {
    await fill(3);
    await store.close();
    const [name] = fs.readdirSync(path.join(root, 'index'));
    const bytes = fs.readFileSync(path.join(root, 'index', name!));
    expect(name).toMatch(/^\d{17}$/);
    expect(bytes.length).toBe(40 + 100 * 4 + 400 * 20);
    expect(bytes.readInt32BE(36)).toBe(7);
    expect(Number(bytes.readBigInt64BE(16))).toBe(0);
    const hash = Math.abs(javaHashCode('orders#key1'));
    const newest = bytes.readInt32BE(40 + (hash % 100) * 4);
    expect(newest).toBeGreaterThan(0);
    let entry = newest;
    while (bytes.readInt32BE(440 + entry * 20) !== hash) {
      entry = bytes.readInt32BE(440 + entry * 20 + 16);
    }
    expect(entry).toBe(3);
    store = await openStore(smallStoreOptions(root));
  });
});
