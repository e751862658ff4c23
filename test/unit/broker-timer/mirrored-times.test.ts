// Times a standby copies are believed only when its own log holds what they claim.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeCheckpoint, readCheckpoint } from '../../../core-broker/broker/timer/files/index.ts';
import { MirroredTimes } from '../../../core-broker/broker/timer/mirrored-times.ts';
import { TimerBooks } from '../../../core-broker/broker/timer/timer-books.ts';
import { encodeHost, encodeRecord } from '../../../core-broker/protocol/index.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';

let folder: string;
let lastStoreMs: number;
let state: { epoch: number; lineage: { epoch: number; boot: string; startOffset: number }[] };
const HOST = encodeHost('127.0.0.1', 1);
const NOW_MS = 1_700_000_100_000;
const store = {
  guard: {
    get state() {
      return state;
    },
  },
  bounds: () => ({ min: 0, max: 50 }),
  lastRecordOffset: () => 0,
  readRecord: () =>
    encodeRecord({
      ...{ queueId: 0, flag: 0, queueOffset: 0, physicalOffset: 0, sysFlag: 0 },
      ...{ bornTimestampMs: 0, bornHost: HOST, storeHost: HOST, storeTimestampMs: lastStoreMs },
      ...{ reconsumeTimes: 0, preparedTransactionOffset: 0 },
      ...{ body: Buffer.from('x'), topic: 'T', properties: '' },
    }),
} as unknown as MessageStore;
const times = (timestampMs: number, queueOffset = 20) =>
  encodeCheckpoint({
    readTimeMs: 1_700_000_000_000,
    flushedPos: 0,
    queueOffset,
    stateVersion: 1,
    timestampMs,
    counter: 1,
  });
const start = () => {
  const clock = { nowMs: () => NOW_MS, monotonicMs: () => 0 };
  const shape = { precisionMs: 1_000, fileBytes: 4_096 };
  return new TimerBooks({ rootDir: folder, store, clock, ...shape }).open(false);
};

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-mirrored-'));
  lastStoreMs = 5_000;
  state = { epoch: 1, lineage: [{ epoch: 1, boot: 'a', startOffset: 0 }] };
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

test('times ahead of the copied log are kept back until the log has passed them', async () => {
  const mirrored = new MirroredTimes(folder, store);
  await mirrored.take(times(5_000));
  await mirrored.settle();
  expect(readCheckpoint(mirrored.file)).toBeUndefined();
  expect(start().trust).toBe('none');
  lastStoreMs = 5_001;
  await mirrored.settle();
  expect(readCheckpoint(mirrored.file)).toMatchObject({ queueOffset: 20, mirroredIn: 1 });
});

test('the promotion that follows believes them, a later one does not', async () => {
  const mirrored = new MirroredTimes(folder, store);
  await mirrored.take(times(4_000));
  await mirrored.settle();
  state.lineage.push({ epoch: 2, boot: 'b', startOffset: 10 });
  state.epoch = 2;
  expect(start()).toMatchObject({
    trust: 'times',
    readTimeMs: 1_700_000_000_000,
    sureQueueOffset: 20,
    queueOffset: 0,
  });
  state.lineage.push({ epoch: 3, boot: 'c', startOffset: 20 });
  state.epoch = 4;
  expect(start()).toMatchObject({ trust: 'none', sureQueueOffset: 0 });
});

test('times of an earlier life of this side are not believed', async () => {
  const mirrored = new MirroredTimes(folder, store);
  fs.mkdirSync(path.dirname(mirrored.file), { recursive: true });
  fs.writeFileSync(mirrored.file, Buffer.concat([times(1), Buffer.alloc(4_040)]));
  expect(start().trust).not.toBe('none');
  state.lineage.push({ epoch: 3, boot: 'b', startOffset: 10 });
  state.epoch = 3;
  expect(start().trust).toBe('none');
});

test('a queue offset behind the end of the queue belongs to a log that was cut', async () => {
  const mirrored = new MirroredTimes(folder, store);
  await mirrored.take(times(1, 51));
  await mirrored.settle();
  state.lineage.push({ epoch: 2, boot: 'b', startOffset: 10 });
  state.epoch = 2;
  expect(start().trust).toBe('none');
});
