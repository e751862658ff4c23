// Digests made at append from marks against digests made from the bytes of the record, and the case that
// must never happen: a digest handed out for other bytes than those it was made of.
import * as fs from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KnownProperties, scanProperties } from '../../core-broker/protocol/index.ts';
import { type MessageStore, openStore, type RecordSource } from '../../core-broker/store/index.ts';
import { PendingDigests } from '../../core-broker/store/log/pending-digests.ts';
import { RecordCursor } from '../../core-broker/store/log/record-bytes.ts';
import { FileMessageStore } from '../../core-broker/store/message-store.ts';
import { DelayLevels } from '../../core-broker/store/queue/digest/delay-levels.ts';
import { Digester } from '../../core-broker/store/queue/digest/digester.ts';
import type { Topic } from '../../core-broker/store/queue/topic-table.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const folder = tempFolder();
let store: MessageStore;

beforeAll(async () => {
  store = await openStore(smallStoreOptions(folder, { mappedFileSizeCommitLog: 64 * 1024 * 1024 }));
});
afterAll(async () => {
  await store.close();
  fs.rmSync(folder, { recursive: true });
});

const word = fc.string({ unit: fc.constantFrom('a', 'B', ' ', 'é', '日', '\u0001'), maxLength: 9 });
const entries = fc.array(
  fc.tuple(fc.constantFrom('TAGS', 'KEYS', 'UNIQ_KEY', 'own', 'KEY'), word),
  {
    maxLength: 7,
  },
);

/** A record whose marks are what the send path finds. */
function marked(pairs: [string, string][], sysFlag: number): RecordSource {
  const record = recordSource(store, { sysFlag });
  record.properties = Buffer.from(pairs.map(([k, v]) => `${k}\u0001${v}\u0002`).join(''));
  record.propertiesLength = record.properties.length;
  const found = new KnownProperties();
  scanProperties(record.properties, 0, record.propertiesLength, found);
  record.marks = {
    tagsStart: found.tags.start,
    tagsEnd: found.tags.end,
    keysStart: found.keys.start,
    keysEnd: found.keys.end,
    uniqStart: found.uniqKey.start,
    uniqEnd: found.uniqKey.end,
  };
  return record;
}

test('a digest from marks is the digest from the bytes', async () => {
  const { ring, pending } = FileMessageStore.partsOf(store as FileMessageStore);
  const digester = new Digester(new DelayLevels('1s 5s'), true);
  const cursor = new RecordCursor();
  await fc.assert(
    fc.asyncProperty(entries, fc.constantFrom(0, 4, 8, 12), async (pairs, sysFlag) => {
      const record = marked(pairs, sysFlag);
      const { physicalOffset, sizeBytes } = store.append(record);
      const at = ring.at(physicalOffset);
      const kept = pending.of(physicalOffset, at);
      expect(cursor.read(ring.bytes, at, at + sizeBytes, 1e9)).toBe('record');
      const slow = digester.make(ring.bytes, cursor, record.topic as Topic);
      const keys = (digest = slow) => [...digest.keyHashes.subarray(0, digest.keyCount)];
      expect(keys(kept?.digest)).toEqual(keys());
      expect({ ...kept?.digest, keyHashes: 0 }).toEqual({ ...slow, keyHashes: 0 });
      await store.durable(physicalOffset + sizeBytes);
    }),
    { numRuns: 500 },
  );
});

test('a digest is not handed out for other bytes at the same offset', () => {
  const parts = FileMessageStore.partsOf(store as FileMessageStore);
  const { ring } = parts;
  const pending = new PendingDigests(parts, true);
  const record = marked([['TAGS', 'a']], 0);
  const result = store.append(record);
  const at = ring.at(result.physicalOffset);
  const offer = () => {
    pending.note(record, result, at);
    return pending.of(result.physicalOffset, at);
  };
  expect(offer()).toBeDefined();
  pending.shift();
  // Size, body CRC, queue offset, physical offset: each alone tells another record.
  for (const place of [3, 11, 27, 35]) {
    pending.note(record, result, at);
    ring.bytes[at + place] = (ring.bytes[at + place] as number) ^ 1;
    expect(pending.of(result.physicalOffset, at), `byte ${place}`).toBeUndefined();
    ring.bytes[at + place] = (ring.bytes[at + place] as number) ^ 1;
  }
  expect(offer()).toBeDefined();
  expect(pending.of(result.physicalOffset + 1, at)).toBeUndefined();
  expect(pending.of(result.physicalOffset, at), 'older ones are dropped').toBeUndefined();
});

test('a cut of the log forgets digests: the next record there may look the same and be of another queue', () => {
  const parts = FileMessageStore.partsOf(store as FileMessageStore);
  const { ring, state } = parts;
  const pending = new PendingDigests(parts, true);
  const record = marked([['TAGS', 'a']], 0);
  const result = { ...store.append(record) };
  const at = ring.at(result.physicalOffset);
  pending.note(record, result, at);
  state.giveUp(result.physicalOffset);
  expect(pending.of(result.physicalOffset, at)).toBeUndefined();
  const again = { ...store.append({ ...record, queueId: record.queueId + 1 }) };
  expect(again).toMatchObject({ physicalOffset: result.physicalOffset, queueOffset: 0 });
  expect(pending.of(again.physicalOffset, at)).toBeUndefined();
});

test('a record behind the last slot goes without a digest, the ones behind it have theirs again', () => {
  const parts = FileMessageStore.partsOf(store as FileMessageStore);
  const { ring } = parts;
  const pending = new PendingDigests(parts, true);
  const record = marked([['TAGS', 'a']], 0);
  const first = { ...store.append(record) };
  const at = ring.at(first.physicalOffset);
  for (let i = 0; i < 5_000; i++) pending.note(record, first, at);
  const second = { ...store.append(record) };
  pending.note(record, second, ring.at(second.physicalOffset));
  expect(pending.of(second.physicalOffset, ring.at(second.physicalOffset))).toBeUndefined();
  pending.note(record, second, ring.at(second.physicalOffset));
  expect(pending.of(second.physicalOffset, ring.at(second.physicalOffset))).toBeDefined();
});
