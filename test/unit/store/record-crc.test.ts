// The checksum of a whole record in its properties: written at the end of every kind of record, and what
// it finds that the body's checksum cannot, at every place where records are judged.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { epoch } from '../../../core-broker/base/index.ts';
import { decodeRecord, parseMessageProperties } from '../../../core-broker/protocol/index.ts';
import { DigestRing, ROW } from '../../../core-broker/store/check/digest-ring.ts';
import { LogFollower } from '../../../core-broker/store/check/log-follower.ts';
import { Scrubber } from '../../../core-broker/store/check/scrubber.ts';
import { type MessageStore, openStore } from '../../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../../core-broker/store/message-store.ts';
import {
  recordSource,
  smallStoreOptions,
  type TestMessage,
  tempFolder,
} from '../../support/store-options.ts';

const STRICT = { appendsRecordCrc: true, comparesRecordCrc: true };
const FILE_BYTES = 64 * 1024;
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

const open = async (changed: Parameters<typeof smallStoreOptions>[1] = STRICT) => {
  store = await openStore(smallStoreOptions(root, changed));
  return store;
};
const append = (message: TestMessage = {}) => {
  const { physicalOffset, sizeBytes } = (store as MessageStore).append(
    recordSource(store as MessageStore, message),
  );
  return { offset: physicalOffset, end: physicalOffset + sizeBytes };
};
/** One byte of the topic of the record: no body checksum covers it. */
function damageTopic(offset: number): void {
  const start = offset - (offset % FILE_BYTES);
  const file = path.join(root, 'commitlog', String(start).padStart(20, '0'));
  const bytes = fs.readFileSync(file);
  const at = bytes.indexOf('orders', offset - start);
  bytes[at] = 'O'.charCodeAt(0);
  fs.writeFileSync(file, bytes);
}
const close = async () => {
  await store?.close();
  store = undefined;
};

test('stands last, covers what is before it, and replaces one that a message brings', async () => {
  const { flush, readRecord, dispatched } = await open().then((made) => ({
    flush: () => made.flush(),
    readRecord: (at: number) => made.readRecord(at),
    dispatched: () => made.dispatched(),
  }));
  const plain = append({ properties: { TAGS: 'a', KEYS: 'k1' } });
  const brought = append({ properties: { '__CRC32#': '0000000001', KEYS: 'k2' } });
  const bare = append({});
  await flush();
  await dispatched();
  for (const { offset } of [plain, brought, bare]) {
    const text = decodeRecord(readRecord(offset)).properties;
    const last = text.split('\u0002').slice(0, -1).at(-1);
    expect(last?.split('\u0001')).toEqual(['__CRC32#', expect.stringMatching(/^\d{10}$/)]);
    expect(text.split('__CRC32#')).toHaveLength(2);
  }
  const said = parseMessageProperties(decodeRecord(readRecord(brought.offset)).properties);
  expect(said.get('KEYS')).toBe('k2');
  expect(said.get('__CRC32#')).not.toBe('0000000001');
  // Tags and keys are found behind the rewriting, too.
  const find = (key: string) =>
    store?.find({ topic: 'orders', key, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER }, 8);
  expect(await find('k1')).toHaveLength(1);
  expect(await find('k2')).toHaveLength(1);
});

test('digits are the checksum, lowest first', async () => {
  await open();
  const { offset, end } = append({ properties: { TAGS: 'a' } });
  await store?.flush();
  const bytes = (store as MessageStore).readRecord(offset);
  const digits = bytes.toString('latin1', end - offset - 11, end - offset - 1);
  const { crc32 } = await import('node:zlib');
  const sum = crc32(bytes.subarray(0, end - offset - 20)) & 0x7fffffff;
  expect(Number([...digits].reverse().join(''))).toBe(sum);
});

test('damage outside the body refuses the boot when sound records follow', async () => {
  await open();
  const hit = append();
  append();
  await close();
  damageTopic(hit.offset);
  await expect(open()).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('is not looked at while it is not asked for', async () => {
  await open();
  const hit = append();
  append();
  await close();
  damageTopic(hit.offset);
  const lenient = await open({ appendsRecordCrc: true });
  expect(decodeRecord(lenient.readRecord(hit.offset)).topic).toBe('Orders');
});

test('records without one are judged by their bodies, and none is cut', async () => {
  await open({});
  const old = append();
  append();
  await close();
  const strict = await open();
  append();
  await strict.flush();
  await strict.dispatched();
  expect(strict.bounds({ topic: 'orders', queueId: 0 })).toEqual({ min: 0, max: 3 });
  expect(decodeRecord(strict.readRecord(old.offset)).body.toString()).toBe('hello');
});

test('the scrubber finds damage outside the body in old files', async () => {
  await open();
  const first = append({ body: 'x'.repeat(20_000) });
  for (let i = 0; i < 6; i++) append({ body: 'y'.repeat(20_000) });
  await store?.flush();
  const parts = partsOf(store as FileMessageStore);
  damageTopic(first.offset);
  const scrubber = new Scrubber(parts, 0);
  while ((await scrubber.step()) > 0);
  expect(parts.state.damage.map(({ offset }) => offset)).toEqual([first.offset]);
});

test('the link refuses a record that was changed on its way', async () => {
  const source = await open();
  const { end } = append();
  await source.flush();
  await source.dispatched();
  const bytes = Buffer.from((await source.readLog(0, end)) ?? []);
  await close();
  const copyRoot = tempFolder();
  const standby = { ...STRICT, region: 'west', initialRole: 'standby' as const };
  const copy = await openStore(smallStoreOptions(copyRoot, standby));
  try {
    const changed = Buffer.from(bytes);
    changed[changed.indexOf('orders')] = 0x4f;
    expect(() => copy.appendExact(0, changed, epoch(0))).toThrow(/record CRC differs/);
    copy.appendExact(0, bytes, epoch(0));
    expect(copy.validatedEnd()).toBe(end);
  } finally {
    await copy.close();
    fs.rmSync(copyRoot, { recursive: true });
  }
});

test('the thread that checks bulk bytes of the link finds it, and only when it is asked', async () => {
  await open();
  append();
  const hit = append();
  const { end } = append();
  await close();
  const kindsWith = (comparesRecordCrc: boolean): number[] => {
    const ring = new DigestRing();
    const setup = { fileSize: FILE_BYTES, messageDelayLevel: '1s', hasIndex: false };
    const folder = path.join(root, 'commitlog');
    const follower = new LogFollower(ring, { ...setup, folder, comparesRecordCrc });
    ring.order(0, end);
    const kinds: number[] = [];
    while (follower.step() === 'moved');
    for (let kind = ring.peek(); kind !== 0; kind = ring.peek()) {
      // Records by 0: their sizes do not matter.
      kinds.push(Math.min(kind, 0));
      ring.take();
    }
    follower.close();
    return kinds;
  };
  const sound = kindsWith(true);
  expect(sound.filter((kind) => kind === 0)).toHaveLength(3);
  expect(sound).not.toContain(ROW.damage);
  damageTopic(hit.offset);
  expect(kindsWith(true)).toEqual([ROW.begin, ROW.topic, 0, ROW.damage]);
  expect(kindsWith(false)).not.toContain(ROW.damage);
});

test('a property that does not fit any more is refused, nothing changes', async () => {
  await open();
  const fits = { K: 'v'.repeat(32_767 - 20 - 3) };
  append({ properties: fits });
  expect(() => append({ properties: { K: `${fits.K}v` } })).toThrow(/too large/);
  await store?.flush();
  await store?.dispatched();
  expect(store?.bounds({ topic: 'orders', queueId: 0 })?.max).toBe(1);
});

test('topics above 127 bytes are refused when only records of the first version are wanted', async () => {
  await open({ takesLongTopics: false });
  expect(() => append({ topic: 'r'.repeat(128) })).toThrow(/at most 127/);
  append({ topic: 'r'.repeat(127) });
});
