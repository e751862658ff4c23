// What a boot makes of every kind of end: torn at any byte, stale or foreign checkpoint, lost queues,
// damage inside the log. The store is closed cleanly here and made to look crashed by its files.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MessageStore, openLogReader, openStore } from '../../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const folders: string[] = [];
const folder = () => {
  const made = tempFolder();
  folders.push(made);
  return made;
};
afterEach(() => {
  for (const each of folders.splice(0)) fs.rmSync(each, { recursive: true });
});

interface Written {
  root: string;
  records: { offset: number; size: number; bytes: Buffer }[];
  end: number;
}

/** A closed store with `count` records over two queues, about 5 per 1 KiB. */
async function written(count: number, bodyBytes = 100): Promise<Written> {
  const root = folder();
  const store = await openStore(smallStoreOptions(root));
  const records: Written['records'] = [];
  for (let i = 0; i < count; i++) {
    const body = Buffer.alloc(bodyBytes + (i % 7), i);
    const properties = { KEYS: `k${i}`, TAGS: i % 2 ? 'odd' : 'even' };
    const at = store.append(recordSource(store, { queueId: i % 2, body, properties }));
    records.push({ offset: at.physicalOffset, size: at.sizeBytes, bytes: Buffer.alloc(0) });
    if (i % 100 === 99) await store.flush();
  }
  await store.flush();
  await store.dispatched();
  for (const record of records) record.bytes = store.readRecord(record.offset);
  const end = store.storeBounds().maxOffset;
  await store.close();
  return { root, records, end };
}

const crash = (root: string) => fs.writeFileSync(path.join(root, 'abort'), '');
const logFile = (root: string, offset: number) =>
  path.join(root, 'commitlog', String(offset - (offset % 65_536)).padStart(20, '0'));

/** Overwrites log bytes in place. */
function patch(root: string, offset: number, bytes: Buffer): void {
  const fd = fs.openSync(logFile(root, offset), 'r+');
  fs.writeSync(fd, bytes, 0, bytes.length, offset % 65_536);
  fs.closeSync(fd);
}

async function expectRecords(store: MessageStore, from: Written, count: number): Promise<void> {
  const expectedEnd =
    count === 0 ? 0 : from.records[count - 1]!.offset + from.records[count - 1]!.size;
  expect(store.storeBounds().maxOffset).toBe(expectedEnd);
  expect(store.validatedEnd()).toBe(expectedEnd);
  const limit = { messagesMax: 10_000, bytesMax: 1e9, tagCodes: undefined };
  for (const queueId of [0, 1]) {
    const mine = from.records.slice(0, count).filter((_, i) => i % 2 === queueId);
    const max = store.bounds({ topic: 'orders', queueId })?.max ?? 0;
    expect(max).toBe(mine.length);
    if (mine.length === 0) continue;
    const pulled = store.pull({ topic: 'orders', queueId }, 0, limit);
    expect(pulled.messageCount).toBe(mine.length);
    expect(Buffer.concat(pulled.chunks).equals(Buffer.concat(mine.map((r) => r.bytes)))).toBe(true);
  }
  expect(store.lastRecordOffset()).toBe(count === 0 ? -1 : from.records[count - 1]!.offset);
}

describe('a torn tail', () => {
  test('garbage behind the end is cut and does not come back', async () => {
    const from = await written(10);
    patch(from.root, from.end, Buffer.alloc(500, 0xaa));
    crash(from.root);
    const store = await openStore(smallStoreOptions(from.root));
    await expectRecords(store, from, 10);
    await store.close();
    const bytes = fs.readFileSync(logFile(from.root, 0));
    expect(bytes.subarray(from.end).equals(Buffer.alloc(65_536 - from.end))).toBe(true);
  });

  test('old valid-looking records at another position are not taken for the log', async () => {
    const from = await written(10);
    patch(from.root, from.end, from.records[3]!.bytes);
    crash(from.root);
    const store = await openStore(smallStoreOptions(from.root));
    await expectRecords(store, from, 10);
    await store.close();
  });
});

describe('damage inside the log', () => {
  test.each([
    ['body', 100],
    ['magic', 5],
    ['size', 1],
    ['position', 33],
  ])('a damaged %s refuses to open, names file and offset, changes nothing', async (_, at) => {
    const from = await written(600);
    const victim = from.records[400]!;
    const flipped = Buffer.from([victim.bytes[at]! ^ 0x55]);
    patch(from.root, victim.offset + at, flipped);
    crash(from.root);
    fs.rmSync(path.join(from.root, 'checkpoint'));
    const before = fs.readFileSync(logFile(from.root, victim.offset));
    await expect(openStore(smallStoreOptions(from.root))).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining(logFile(from.root, victim.offset)),
      context: { file: logFile(from.root, victim.offset), offset: victim.offset },
    });
    expect(fs.readFileSync(logFile(from.root, victim.offset)).equals(before)).toBe(true);
    patch(from.root, victim.offset, victim.bytes);
    const store = await openStore(smallStoreOptions(from.root));
    await expectRecords(store, from, 600);
    await store.close();
  });

  test('damage in an older file is found when it is read, and never served', async () => {
    const from = await written(1200);
    const victim = from.records[40]!;
    patch(from.root, victim.offset + 95, Buffer.from([0x99, 0x98, 0x97]));
    const store = await openStore(smallStoreOptions(from.root));
    expect(() => store.readRecord(victim.offset)).toThrow(/damaged record at offset/);
    const limit = { messagesMax: 32, bytesMax: 1e6, tagCodes: undefined };
    const before = store.pull({ topic: 'orders', queueId: 0 }, 10, limit);
    expect([before.status, before.messageCount, before.nextBeginOffset]).toEqual(['FOUND', 10, 20]);
    const at = () => store.pull({ topic: 'orders', queueId: 0 }, 20, limit);
    expect(at).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    const other = store.pull({ topic: 'orders', queueId: 1 }, 20, limit);
    expect(other.messageCount).toBe(32);
    const scan = async () => {
      for await (const _ of store.scan(0, from.end));
    };
    await expect(scan()).rejects.toMatchObject({ code: 'CORRUPT' });
    await store.close();
  });

  test.each([
    ['a page in the middle', 12_288, 4_096, true],
    ['one whole small write', -1, 0, true],
    ['half a small write', -1, 50, false],
  ])('%s missing beyond what was synced', async (_, start, length, isHole) => {
    const root = folder();
    const options = smallStoreOptions(root, { flushIntervalCommitLogMs: 3_600_000 });
    const store = await openStore(options);
    const ends: number[] = [];
    for (const size of [9_000, 200, 9_000, 9_000]) {
      const at = store.append(recordSource(store, { body: Buffer.alloc(size, 7) }));
      ends.push(at.physicalOffset + at.sizeBytes);
    }
    const [first = 0, second = 0, , last = 0] = ends;
    await store.durable(last);
    const crashed = folder();
    fs.cpSync(root, crashed, { recursive: true });
    await store.close();
    fs.writeFileSync(path.join(crashed, 'checkpoint'), checkpointOf(first));
    const from = start < 0 ? first : start;
    patch(crashed, from, Buffer.alloc(start < 0 && length === 0 ? second - first : length));
    const opened = openStore(smallStoreOptions(crashed));
    if (!isHole) {
      await expect(opened).rejects.toMatchObject({ code: 'CORRUPT', context: { offset: first } });
      return;
    }
    const again = await opened;
    const end = start < 0 ? first : second;
    expect(again.storeBounds().maxOffset).toBe(end);
    const kept = fs.readdirSync(path.join(crashed, 'setaside'));
    expect(kept).toHaveLength(1);
    const bytes = fs.readFileSync(path.join(crashed, 'setaside', kept[0]!));
    expect(bytes.length).toBe(last - end);
    await again.close();
  });

  test('the same hole below what was synced is damage', async () => {
    const from = await written(600);
    patch(from.root, from.records.at(-3)!.offset, Buffer.alloc(from.records.at(-3)!.size));
    crash(from.root);
    await expect(openStore(smallStoreOptions(from.root))).rejects.toMatchObject({
      code: 'CORRUPT',
      context: { offset: from.records.at(-3)!.offset },
    });
  });
});

/** A checkpoint file whose own part vouches for `offset`. */
function checkpointOf(offset: number): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeBigInt64BE(BigInt(offset), 2056);
  bytes.writeBigInt64BE(BigInt(offset), 2064);
  bytes.writeUInt32BE(0x44524350, 2048);
  let crc = 0xffffffff;
  for (const byte of Buffer.concat([bytes.subarray(0, 24), bytes.subarray(2056, 2080)])) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  bytes.writeUInt32BE((crc ^ 0xffffffff) >>> 0, 2052);
  return bytes;
}

describe('what is derived is built again', () => {
  const damage: Record<string, (root: string, from: Written) => void> = {
    'a stale checkpoint': (root, from) =>
      fs.writeFileSync(path.join(root, 'checkpoint'), checkpointOf(from.records[30]!.offset)),
    'no checkpoint': (root) => fs.rmSync(path.join(root, 'checkpoint')),
    'a checkpoint beyond the log': (root, from) =>
      fs.writeFileSync(path.join(root, 'checkpoint'), checkpointOf(from.end + 1_000_000)),
    'a checkpoint of zeros': (root) =>
      fs.writeFileSync(path.join(root, 'checkpoint'), Buffer.alloc(4096)),
    'no consume queues': (root) => fs.rmSync(path.join(root, 'consumequeue'), { recursive: true }),
    'one queue lost': (root) =>
      fs.rmSync(path.join(root, 'consumequeue/orders/1'), { recursive: true }),
    'no index': (root) => fs.rmSync(path.join(root, 'index'), { recursive: true }),
    'a queue file cut short': (root) => {
      const queue = path.join(root, 'consumequeue/orders/0');
      const last = path.join(queue, fs.readdirSync(queue).sort().at(-1)!);
      fs.writeFileSync(last, Buffer.alloc(2000));
    },
  };
  for (const [what, apply] of Object.entries(damage)) {
    test(what, async () => {
      const from = await written(900);
      apply(from.root, from);
      if (what === 'a queue file cut short') {
        fs.writeFileSync(
          path.join(from.root, 'checkpoint'),
          checkpointOf(from.records[600]!.offset),
        );
      }
      crash(from.root);
      let store = await openStore(smallStoreOptions(from.root));
      await expectRecords(store, from, 900);
      await store.close();
      store = await openStore(smallStoreOptions(from.root));
      await expectRecords(store, from, 900);
      if (what !== 'no index') {
        const range = { beginMs: 0, endMs: Date.now() };
        const found = await store.find({ topic: 'orders', key: 'k899', ...range }, 32);
        expect(found.map((ref) => ref.physicalOffset)).toEqual([from.records[899]!.offset]);
      }
      await store.close();
    });
  }

  test('queues without a log are removed', async () => {
    const from = await written(20);
    fs.rmSync(path.join(from.root, 'commitlog'), { recursive: true });
    const store = await openStore(smallStoreOptions(from.root));
    expect([...store.queues()]).toEqual([]);
    expect(store.append(recordSource(store)).queueOffset).toBe(0);
    await store.close();
  });

  test('a wrong file size or a stray file is refused by name', async () => {
    const from = await written(20);
    await expect(
      openStore(smallStoreOptions(from.root, { mappedFileSizeCommitLog: 32_768 })),
    ).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('expected 32768'),
    });
    fs.writeFileSync(path.join(from.root, 'commitlog', 'notes.txt'), 'x');
    await expect(openStore(smallStoreOptions(from.root))).rejects.toMatchObject({
      code: 'CORRUPT',
    });
  });
});

describe('a closed store is read without opening it', () => {
  test('every record, and the damaged one is named', async () => {
    const from = await written(900);
    let reader = openLogReader(from.root);
    const seen: number[] = [];
    for await (const record of reader.scan()) seen.push(record.offset);
    expect(seen).toEqual(from.records.map((record) => record.offset));
    expect(reader.end()).toBe(from.end);
    const tail: number[] = [];
    for await (const record of reader.scan(from.records[700]!.offset))
      tail.push(record.queueOffset);
    expect(tail).toHaveLength(200);
    reader.close();
    const victim = from.records[5]!;
    patch(from.root, victim.offset + 95, Buffer.from([0x11, 0x22]));
    reader = openLogReader(from.root);
    const scan = async () => {
      for await (const _ of reader.scan());
    };
    await expect(scan()).rejects.toMatchObject({ context: { offset: victim.offset } });
    reader.close();
  });
});
