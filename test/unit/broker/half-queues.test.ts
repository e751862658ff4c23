// Where the check stands: stored positions against the queues that are really there.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../core-broker/base/index.ts';
import { ConsumerOffsets } from '../../../core-broker/broker/metadata/index.ts';
import { OpWriter, StoredHalfQueues } from '../../../core-broker/broker/transactions/index.ts';
import type { MessageDraft } from '../../../core-broker/broker/writing/index.ts';
import { encodeHost, Group, Topic } from '../../../core-broker/protocol/index.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';

const HALF = { topic: Topic.TRANS_HALF, queueId: 0, group: Group.SYS_TRANS };
const OP = { ...HALF, topic: Topic.TRANS_OP_HALF };

let folder: string;
let offsets: ConsumerOffsets;
let bounds: Record<string, { min: number; max: number }>;
let queues: StoredHalfQueues;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-half-'));
  const file = (name: string) => path.join(folder, name);
  offsets = new ConsumerOffsets(
    { main: file('main'), standby: file('standby'), bounds: file('bounds') },
    systemClock,
  );
  bounds = {
    [Topic.TRANS_HALF]: { min: 3, max: 10 },
    [Topic.TRANS_OP_HALF]: { min: 0, max: 4 },
  };
  const store = { bounds: ({ topic }: { topic: string }) => bounds[topic] };
  queues = new StoredHalfQueues(store as unknown as MessageStore, offsets, 0);
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

test('without a stored position the check begins at the first record', () => {
  expect(queues.position()).toEqual({ half: 3, op: 0 });
});

test('a position behind the end of its queue is brought back, so that what comes is checked', () => {
  offsets.commit(HALF, 50);
  offsets.commit(OP, 60);
  queues.clamp();
  bounds[Topic.TRANS_HALF] = { min: 3, max: 40 };
  bounds[Topic.TRANS_OP_HALF] = { min: 0, max: 30 };
  expect(queues.position()).toEqual({ half: 10, op: 4 });
  expect(queues.backlog()).toBe(30);
});

test('a bound of a failover does not hold the position', () => {
  offsets.commit(HALF, 8);
  offsets.bound(HALF, 10);
  offsets.enforceBounds(true);
  queues.advance({ half: 15, op: 2 });
  expect(offsets.query(HALF)).toBe(15);
  expect(offsets.query(OP)).toBe(2);
});

test('ops that cannot be appended stay pending and are tried again', () => {
  const appended: string[] = [];
  let isFull = true;
  const writer = {
    append: ({ body }: MessageDraft) => {
      if (isFull) throw new Error('full');
      appended.push(body.toString());
      return { physicalOffset: 100, sizeBytes: 10, queueOffset: 0, storeTimestampMs: 0 };
    },
  };
  const store = { topic: (name: string) => ({ name, bytes: Buffer.from(name), id: 0 }) };
  const config = { transactionOpBatchInterval: 0, transactionOpMsgMaxSize: 4 };
  const storeHost = encodeHost('127.0.0.1', 1);
  const ops = new OpWriter({ config, store, writer, clock: systemClock, storeHost });
  expect(ops.settled(0, 7)).toBeUndefined();
  expect(ops.isPending(0, 7)).toBe(true);
  isFull = false;
  ops.flush();
  expect(ops.isPending(0, 7)).toBe(false);
  expect(ops.settled(0, 8)).toBe(110);
  config.transactionOpBatchInterval = 60_000;
  for (const offset of [10, 11, 12]) ops.settled(0, offset);
  ops.stop();
  // A list is closed as soon as it is as long as transactionOpMsgMaxSize says.
  expect(appended).toEqual(['7', '8', '10,11,', '12']);
});
