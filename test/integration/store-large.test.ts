// A store of 100 GiB opens by reading its last files only, after a clean stop and after a crash. The files
// are sparse with real records where they begin and in the last one; bytes read are counted, not time.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeHost, encodeRecord } from '../../core-broker/protocol/index.ts';
import { writeCheckpoint } from '../../core-broker/store/boot/checkpoint.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const MIB = 1024 * 1024;
const FILE_BYTES = 256 * MIB;
const FILES = 400;
const LAST_START = (FILES - 1) * FILE_BYTES;
const LAST_RECORDS = 500;
const HOST = encodeHost('127.0.0.1', 10911);
const QUEUE = { topic: 'orders', queueId: 0 };
let root = '';
let store: MessageStore | undefined;
let end = 0;

function record(queueOffset: number, physicalOffset: number): Buffer {
  return encodeRecord({
    ...{ queueId: 0, flag: 0, queueOffset, physicalOffset, sysFlag: 0, reconsumeTimes: 0 },
    bornTimestampMs: 1_700_000_000_000,
    bornHost: HOST,
    storeTimestampMs: 1_700_000_000_000 + queueOffset * 1_000,
    storeHost: HOST,
    preparedTransactionOffset: 0,
    body: Buffer.alloc(900, queueOffset),
    topic: QUEUE.topic,
    properties: '',
  });
}

/** Each file begins with a record; the last one has five hundred. */
function layOut(): void {
  const folder = path.join(root, 'commitlog');
  fs.mkdirSync(folder, { recursive: true });
  const queue = path.join(root, 'consumequeue', QUEUE.topic, '0');
  fs.mkdirSync(queue, { recursive: true });
  const entries = Buffer.alloc(FILES * 20);
  for (let n = 0; n < FILES; n++) {
    const start = n * FILE_BYTES;
    const fd = fs.openSync(path.join(folder, String(start).padStart(20, '0')), 'w');
    fs.ftruncateSync(fd, FILE_BYTES);
    const bytes = record(n, start);
    fs.writeSync(fd, bytes);
    entries.writeBigInt64BE(BigInt(start), n * 20);
    entries.writeInt32BE(bytes.length, n * 20 + 8);
    if (n === FILES - 1) end = fillLast(fd, start + bytes.length);
    fs.closeSync(fd);
  }
  const file = fs.openSync(path.join(queue, '0'.repeat(20)), 'w');
  fs.ftruncateSync(file, 6_000_000);
  fs.writeSync(file, entries);
  fs.closeSync(file);
}

function fillLast(fd: number, from: number): number {
  let at = from;
  for (let n = 0; n < LAST_RECORDS; n++) {
    const bytes = record(FILES + n, at);
    fs.writeSync(fd, bytes, 0, bytes.length, at - LAST_START);
    at += bytes.length;
  }
  return at;
}

/** Bytes this process has asked the kernel for. */
const bytesRead = (): number =>
  Number(/rchar: (\d+)/.exec(fs.readFileSync('/proc/self/io', 'utf8'))?.[1]);

async function openCounted(): Promise<number> {
  const before = bytesRead();
  const changed = { mappedFileSizeCommitLog: FILE_BYTES, mappedFileSizeConsumeQueue: 6_000_000 };
  store = await openStore(smallStoreOptions(root, changed));
  return bytesRead() - before;
}

function checkpoint(changed: { timestampMs: number; offset: number | undefined }): void {
  const { timestampMs, offset } = changed;
  const file = path.join(root, 'checkpoint');
  writeCheckpoint(file, {
    physicMsgTimestampMs: timestampMs,
    logicsMsgTimestampMs: timestampMs,
    indexMsgTimestampMs: 0,
    flushedOffset: offset,
    dispatchedOffset: offset,
    uncheckedOffset: undefined,
  });
  // A stock broker has nothing in the second half.
  if (offset === undefined) fs.writeFileSync(file, fs.readFileSync(file).fill(0, 2_048));
}

async function expectWhole(): Promise<void> {
  expect(store?.bounds(QUEUE)).toEqual({ min: 0, max: FILES + LAST_RECORDS });
  expect(store?.storeBounds().maxOffset).toBe(end);
  const next = store?.append(recordSource(store, { body: 'next' }));
  expect(next?.queueOffset).toBe(FILES + LAST_RECORDS);
}

beforeEach(() => {
  root = tempFolder();
  layOut();
});
afterEach(async () => {
  await store?.close();
  fs.rmSync(root, { recursive: true });
});

describe('100 GiB', () => {
  test('after a crash: the last file is read, and found whole', async () => {
    checkpoint({ timestampMs: 0, offset: LAST_START });
    fs.writeFileSync(path.join(root, 'abort'), '');
    expect(await openCounted()).toBeLessThan(FILE_BYTES + 32 * MIB);
    await expectWhole();
  });

  test('after a clean stop the same', async () => {
    checkpoint({ timestampMs: 0, offset: LAST_START });
    fs.writeFileSync(path.join(root, 'abort'), '');
    await openCounted();
    await store?.close();
    expect(await openCounted()).toBeLessThan(FILE_BYTES + 32 * MIB);
    await expectWhole();
  });

  test('after a crash of a stock broker: from the file its checkpoint names', async () => {
    // Three seconds of margin below this lies the first record of the last file.
    checkpoint({ timestampMs: 1_700_000_000_000 + FILES * 1_000 + 3_000, offset: undefined });
    fs.writeFileSync(path.join(root, 'abort'), '');
    expect(await openCounted()).toBeLessThan(FILE_BYTES + 32 * MIB);
    await expectWhole();
  });
});
