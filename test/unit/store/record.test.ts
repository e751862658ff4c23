// What append puts into the log, compared with bytes that are written down here field by field.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MessageStore, openStore } from '../../../core-broker/store/index.ts';
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

/** CRC-32 the slow way, bit by bit: independent of the product's tables. */
function slowCrc(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

interface Expected {
  queueOffset: bigint;
  physicalOffset: bigint;
  storeTimestamp: bigint;
  body: Buffer;
  topic: string;
  properties: string;
  queueId: number;
}

function expectedRecord(from: Expected): Buffer {
  const out = Buffer.alloc(91 + from.body.length + from.topic.length + from.properties.length);
  let at = 0;
  const int = (value: number) => {
    at = out.writeInt32BE(value | 0, at);
  };
  const long = (value: bigint) => {
    at = out.writeBigInt64BE(value, at);
  };
  const raw = (bytes: Buffer) => {
    at += bytes.copy(out, at);
  };
  int(out.length);
  int(-626843481);
  int(slowCrc(from.body) & 0x7fffffff);
  int(from.queueId);
  int(7);
  long(from.queueOffset);
  long(from.physicalOffset);
  int(0);
  long(1_700_000_000_123n);
  raw(Buffer.from([10, 1, 2, 3, 0, 0, 0x1f, 0x90]));
  long(from.storeTimestamp);
  raw(Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]));
  int(0);
  long(0n);
  int(from.body.length);
  raw(from.body);
  at = out.writeUInt8(from.topic.length, at);
  raw(Buffer.from(from.topic));
  at = out.writeInt16BE(from.properties.length, at);
  raw(Buffer.from(from.properties));
  expect(at).toBe(out.length);
  return out;
}

async function appended(store: MessageStore, source: ReturnType<typeof recordSource>) {
  const result = { ...store.append(source) };
  await store.durable(result.physicalOffset + result.sizeBytes);
  return result;
}

describe('record bytes', () => {
  test.each([0, 1, 63, 64, 65, 255, 256, 5000])('a body of %i bytes is encoded', async (size) => {
    const root = folder();
    const store = await openStore(smallStoreOptions(root));
    const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) & 255));
    const first = await appended(store, recordSource(store, { queueId: 3 }));
    const second = await appended(
      store,
      recordSource(store, { queueId: 3, body, properties: { TAGS: 'x', KEYS: 'a b' } }),
    );
    expect(second.queueOffset).toBe(1);
    expect(second.physicalOffset).toBe(first.sizeBytes);
    const file = path.join(root, 'commitlog', '00000000000000000000');
    const bytes = fs.readFileSync(file);
    expect(bytes.length).toBe(64 * 1024);
    const expected = expectedRecord({
      queueOffset: 1n,
      physicalOffset: BigInt(second.physicalOffset),
      storeTimestamp: BigInt(second.storeTimestampMs),
      body,
      topic: 'orders',
      properties: 'TAGS\u0001x\u0002KEYS\u0001a b\u0002',
      queueId: 3,
    });
    const end = second.physicalOffset + second.sizeBytes;
    expect(bytes.subarray(second.physicalOffset, end).equals(expected)).toBe(true);
    expect(store.readRecord(second.physicalOffset).equals(expected)).toBe(true);
    await store.close();
  });

  test('consume queue entries carry position, size and the tag hash, sign extended', async () => {
    const root = folder();
    const store = await openStore(smallStoreOptions(root));
    const first = await appended(store, recordSource(store, { properties: { TAGS: 'TagA' } }));
    // Java: "polygenelubricants".hashCode() is Integer.MIN_VALUE.
    const tags = { TAGS: 'polygenelubricants' };
    const second = await appended(store, recordSource(store, { properties: tags }));
    const third = await appended(store, recordSource(store));
    await store.close();
    const queue = path.join(root, 'consumequeue', 'orders', '0', '00000000000000000000');
    const bytes = fs.readFileSync(queue);
    expect(bytes.length).toBe(2000);
    const entry = (n: number) => [
      bytes.readBigInt64BE(n * 20),
      bytes.readInt32BE(n * 20 + 8),
      bytes.readBigInt64BE(n * 20 + 12),
    ];
    expect(entry(0)).toEqual([BigInt(first.physicalOffset), first.sizeBytes, 2598919n]);
    expect(entry(1)).toEqual([BigInt(second.physicalOffset), second.sizeBytes, -2147483648n]);
    expect(entry(2)).toEqual([BigInt(third.physicalOffset), third.sizeBytes, 0n]);
    expect(entry(3)).toEqual([0n, 0, 0n]);
  });

  test('a delayed message has its due time in the queue', async () => {
    const root = folder();
    const store = await openStore(smallStoreOptions(root));
    const source = recordSource(store, {
      topic: 'SCHEDULE_TOPIC_XXXX',
      queueId: 2,
      properties: { DELAY: '3' },
    });
    const result = await appended(store, source);
    await store.close();
    const queue = path.join(root, 'consumequeue/SCHEDULE_TOPIC_XXXX/2/00000000000000000000');
    const due = fs.readFileSync(queue).readBigInt64BE(12);
    expect(due).toBe(BigInt(result.storeTimestampMs) + 10_000n);
  });

  test('a file that has no room for the next record ends with a marker', async () => {
    const root = folder();
    const store = await openStore(smallStoreOptions(root));
    const body = Buffer.alloc(20_000, 1);
    for (let i = 0; i < 4; i++) await appended(store, recordSource(store, { body }));
    await store.close();
    const first = fs.readFileSync(path.join(root, 'commitlog', '00000000000000000000'));
    const size = first.readInt32BE(0);
    expect(first.readInt32BE(3 * size)).toBe(65536 - 3 * size);
    expect(first.readInt32BE(3 * size + 4)).toBe(-875286124);
    expect(fs.existsSync(path.join(root, 'commitlog', '00000000000000065536'))).toBe(true);
  });

  test('a record that fills a file up to exactly 8 bytes stays in it, one more byte rolls', async () => {
    for (const extra of [0, 1]) {
      const store = await openStore(smallStoreOptions(folder(), { maxMessageSizeBytes: 70_000 }));
      const body = Buffer.alloc(65_536 - 8 - 97 + extra);
      if (extra === 1) expect(() => store.append(recordSource(store, { body }))).toThrow(/fit/);
      else expect((await appended(store, recordSource(store, { body }))).physicalOffset).toBe(0);
      const half = Buffer.alloc(32_768 - 4 - 97 + extra);
      await appended(store, recordSource(store, { body: half }));
      const next = await appended(store, recordSource(store, { body: half }));
      expect(next.physicalOffset % 65_536).toBe(extra === 1 ? 0 : 32_764);
      await store.close();
    }
  });

  test('prepared and rolled back transaction records stay out of the queues', async () => {
    const store = await openStore(smallStoreOptions(folder()));
    for (const sysFlag of [0x4, 0xc, 0x8, 0])
      await appended(store, recordSource(store, { sysFlag }));
    expect(store.bounds({ topic: 'orders', queueId: 0 })).toEqual({ min: 0, max: 2 });
    await store.close();
  });
});
