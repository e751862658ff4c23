// The link's way in: bytes of another log in pieces of any size must give the same files, queues and
// index; damage and gaps are refused and leave a log that can go on.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { DrError, type Epoch } from '../../../core-broker/base/index.ts';
import { type MessageStore, openStore } from '../../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const folders: string[] = [];
const stores: MessageStore[] = [];
const folder = () => {
  const made = tempFolder();
  folders.push(made);
  return made;
};
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const each of folders.splice(0)) fs.rmSync(each, { recursive: true });
});
const open = async (root: string, isStandby: boolean): Promise<MessageStore> => {
  const dr = isStandby ? { region: 'west', initialRole: 'standby' as const } : {};
  const store = await openStore(smallStoreOptions(root, dr));
  stores.push(store);
  return store;
};
const EPOCH = 0 as Epoch;
const oneMessage = { messagesMax: 1, bytesMax: 1000, tagCodes: undefined };

/** The whole log of a source with several files, records of mixed size. */
async function sourceLog(
  count = 400,
): Promise<{ root: string; store: MessageStore; bytes: Buffer }> {
  const root = folder();
  const store = await open(root, false);
  for (let i = 0; i < count; i++) {
    const body = Buffer.alloc((i * 97) % 1500, i);
    const properties = { KEYS: `k${i} other${i}`, TAGS: `t${i % 3}` };
    store.append(recordSource(store, { topic: `t${i % 2}`, queueId: i % 3, body, properties }));
    if (i % 50 === 0) await store.flush();
  }
  await store.flush();
  await store.dispatched();
  return { root, store, bytes: await readAll(store) };
}

async function readAll(store: MessageStore): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let at: number = store.storeBounds().minOffset;
  for (;;) {
    const piece = await store.readLog(at, 10_000);
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece));
    at += piece.length;
  }
}

function filesOf(root: string, name: string): Record<string, string> {
  const all: Record<string, string> = {};
  for (const entry of fs.readdirSync(path.join(root, name), { recursive: true })) {
    const file = path.join(root, name, String(entry));
    if (fs.statSync(file).isFile()) all[String(entry)] = fs.readFileSync(file, 'base64');
  }
  return all;
}

/** Appends [from, to) of the source's bytes in pieces chosen by `next`. */
function feed(store: MessageStore, source: Buffer, at: number, next: () => number): void {
  let offset = at;
  while (offset < source.length) {
    const piece = Buffer.from(source.subarray(offset, offset + next()));
    store.appendExact(offset, piece, EPOCH);
    // A reused receive buffer: the store must have taken what it needs.
    piece.fill(0xee);
    offset += Math.min(piece.length, source.length - offset);
  }
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (reason) {
    return DrError.from(reason).code;
  }
  return 'done';
};

describe('a copy through the link', () => {
  test.each([1, 7, 91, 1000, 65_536, 300_000])(
    'in pieces of %i bytes is the same',
    async (size) => {
      const source = await sourceLog(size === 1 ? 120 : 400);
      const root = folder();
      const copy = await open(root, true);
      feed(copy, source.bytes, 0, () => size);
      expect(copy.validatedEnd()).toBe(source.bytes.length);
      expect(copy.lastRecordOffset()).toBe(source.store.lastRecordOffset());
      expect([...copy.queues()]).toEqual([...source.store.queues()]);
      const range = { topic: 't1', beginMs: 0, endMs: Date.now() };
      expect(await copy.find({ ...range, key: 'other101' }, 9)).toEqual(
        await source.store.find({ ...range, key: 'other101' }, 9),
      );
      await copy.close();
      await source.store.close();
      expect(filesOf(root, 'commitlog')).toEqual(filesOf(source.root, 'commitlog'));
      expect(filesOf(root, 'consumequeue')).toEqual(filesOf(source.root, 'consumequeue'));
      const [ours, theirs] = [filesOf(root, 'index'), filesOf(source.root, 'index')];
      expect(Object.values(ours)).toEqual(Object.values(theirs));
    },
  );

  test('in one piece of thousands of records is the same, up to the damaged one', async () => {
    const large = { mappedFileSizeCommitLog: 1024 * 1024 };
    const root = folder();
    const source = await openStore(smallStoreOptions(root, large));
    stores.push(source);
    for (let i = 0; i < 2000; i++) source.append(recordSource(source, { queueId: i % 3 }));
    await source.flush();
    await source.dispatched();
    const bytes = await readAll(source);
    // More than one batch of records, and not yet bulk, which a thread would check.
    expect(bytes.length).toBeLessThan(512 * 1024);
    const dr = { region: 'west', initialRole: 'standby' as const };
    const copy = await openStore(smallStoreOptions(folder(), { ...large, ...dr }));
    stores.push(copy);
    const bad = source.pull({ topic: 'orders', queueId: 0 }, 500, oneMessage).chunks[0]!;
    const badAt = Number(bad.readBigInt64BE(28));
    const damaged = Buffer.from(bytes);
    damaged[badAt + 4] = 0;
    expect(codeOf(() => copy.appendExact(0, damaged, EPOCH))).toBe('CORRUPT');
    expect(copy.validatedEnd()).toBe(badAt);
    copy.appendExact(badAt, bytes.subarray(badAt), EPOCH);
    await copy.dispatched();
    expect(copy.validatedEnd()).toBe(bytes.length);
    expect([...copy.queues()]).toEqual([...source.queues()]);
    expect(await readAll(copy)).toEqual(bytes);
  });

  test('may begin at the start of a later file, with padded queues', async () => {
    const source = await sourceLog();
    const copy = await open(folder(), true);
    expect(codeOf(() => copy.appendExact(1000, source.bytes.subarray(1000, 1100), EPOCH))).toBe(
      'CORRUPT',
    );
    feed(copy, source.bytes, 131_072, () => 5000);
    expect(copy.storeBounds().minOffset).toBe(131_072);
    for (const queue of source.store.queues()) {
      const mine = copy.bounds(queue);
      expect(mine?.max).toBe(queue.max);
      expect(mine?.min).toBeGreaterThan(0);
      const limit = { messagesMax: 1, bytesMax: 1e6, tagCodes: undefined };
      const first = copy.pull(queue, mine!.min, limit);
      expect(first.status).toBe('FOUND');
      const original = source.store.pull(queue, mine!.min, limit);
      expect(Buffer.concat(first.chunks).equals(Buffer.concat(original.chunks))).toBe(true);
      expect(copy.pull(queue, 0, limit).status).toBe('OFFSET_TOO_SMALL');
    }
  });

  test('a partial record is not readable and a reconnect at the validated end goes on', async () => {
    const source = await sourceLog(50);
    const copy = await open(folder(), true);
    copy.appendExact(0, source.bytes.subarray(0, 1234), EPOCH);
    const end = copy.validatedEnd();
    expect(end).toBeLessThan(1234);
    expect(copy.storeBounds().maxOffset).toBe(1234);
    expect(await copy.readLog(end, 100)).toBeUndefined();
    await copy.dispatched();
    feed(copy, source.bytes, end, () => 333);
    expect((await readAll(copy)).equals(source.bytes)).toBe(true);
  });

  test('a restart with a partial record at the end cuts it and goes on', async () => {
    const source = await sourceLog(50);
    const root = folder();
    let copy = await open(root, true);
    copy.appendExact(0, source.bytes.subarray(0, 2345), EPOCH);
    const end = copy.validatedEnd();
    await copy.close();
    copy = await open(root, true);
    expect(copy.storeBounds().maxOffset).toBe(end);
    feed(copy, source.bytes, end, () => 777);
    expect((await readAll(copy)).equals(source.bytes)).toBe(true);
  });

  test('damaged bytes are refused before they reach the disk', async () => {
    const source = await sourceLog(60);
    const root = folder();
    const copy = await open(root, true);
    const victim = source.store.pull({ topic: 't0', queueId: 0 }, 5, {
      messagesMax: 1,
      bytesMax: 1e6,
      tagCodes: undefined,
    });
    const at = Number(victim.chunks[0]!.readBigInt64BE(28));
    for (const size of [50, 100_000]) {
      const bad = Buffer.from(source.bytes);
      bad[at + 92] = bad[at + 92]! ^ 1;
      expect(codeOf(() => feed(copy, bad, copy.validatedEnd(), () => size))).toBe('CORRUPT');
      expect(copy.validatedEnd()).toBe(at);
      expect(copy.storeBounds().maxOffset).toBe(at);
    }
    feed(copy, source.bytes, at, () => 4000);
    expect((await readAll(copy)).equals(source.bytes)).toBe(true);
  });

  test('a flush ends although a partial record is given up meanwhile', async () => {
    const source = await sourceLog(20);
    const copy = await open(folder(), true);
    copy.appendExact(0, source.bytes.subarray(0, 500), EPOCH);
    const flushed = copy.flush();
    const end = copy.validatedEnd();
    copy.appendExact(end, source.bytes.subarray(end, end + 4), EPOCH);
    await flushed;
    expect(copy.storeBounds().flushedOffset).toBeLessThanOrEqual(end + 4);
  });

  test('bytes at another offset are refused', async () => {
    const source = await sourceLog(20);
    const copy = await open(folder(), true);
    copy.appendExact(0, source.bytes.subarray(0, 500), EPOCH);
    expect(codeOf(() => copy.appendExact(600, source.bytes.subarray(600), EPOCH))).toBe('CORRUPT');
    expect(codeOf(() => copy.appendExact(0, source.bytes.subarray(0, 9), EPOCH))).toBe('CORRUPT');
    expect(copy.storeBounds().maxOffset).toBe(500);
  });
});

describe('after a promotion', () => {
  test('appends go on behind the last whole record with dense queue offsets', async () => {
    const source = await sourceLog(50);
    const root = folder();
    let copy = await open(root, true);
    copy.appendExact(0, source.bytes.subarray(0, source.bytes.length - 20), EPOCH);
    const end = copy.validatedEnd();
    const before = copy.bounds({ topic: 't0', queueId: 0 })!.max;
    copy.guard.promote({ opId: 'p', fromEpoch: 0, startOffset: end });
    const made = { ...copy.append(recordSource(copy, { topic: 't0', queueId: 0 })) };
    expect(made.physicalOffset).toBe(end);
    expect(made.queueOffset).toBe(before);
    await copy.flush();
    await copy.dispatched();
    const bytes = copy.readRecord(end);
    expect(codeOf(() => copy.appendExact(end, bytes, 1 as Epoch))).toBe('FENCED');
    await copy.close();
    copy = await open(root, true);
    expect(copy.readRecord(end).equals(bytes)).toBe(true);
    expect(copy.storeBounds().maxOffset).toBe(end + bytes.length);
  });
});

describe('truncate', () => {
  test('cuts log, queues, index and counters; the link goes on from there', async () => {
    const source = await sourceLog();
    const root = folder();
    const copy = await open(root, true);
    feed(copy, source.bytes, 0, () => 8192);
    const cut = Number(
      copy
        .pull({ topic: 't1', queueId: 1 }, 20, {
          messagesMax: 1,
          bytesMax: 1e6,
          tagCodes: undefined,
        })
        .chunks[0]!.readBigInt64BE(28),
    );
    await copy.truncate(cut);
    expect(copy.validatedEnd()).toBe(cut);
    expect(copy.bounds({ topic: 't1', queueId: 1 })?.max).toBe(20);
    const range = { topic: 't0', beginMs: 0, endMs: Date.now() };
    expect(await copy.find({ ...range, key: 'k398' }, 9)).toEqual([]);
    expect(await copy.readLog(cut, 10)).toBeUndefined();
    feed(copy, source.bytes, cut, () => 8192);
    expect(copy.validatedEnd()).toBe(source.bytes.length);
    expect(await copy.find({ ...range, key: 'k398' }, 9)).toHaveLength(1);
    await copy.close();
    await source.store.close();
    expect(filesOf(root, 'commitlog')).toEqual(filesOf(source.root, 'commitlog'));
    expect(filesOf(root, 'consumequeue')).toEqual(filesOf(source.root, 'consumequeue'));
  });

  test('is refused while the store takes writes', async () => {
    const store = await open(folder(), false);
    await expect(store.truncate(0)).rejects.toMatchObject({ code: 'REFUSED' });
  });
});
