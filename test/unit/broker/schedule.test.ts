// Delivery of delayed messages: when it is due, in order, and never forgotten.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { DelayOffsets } from '../../../core-broker/broker/metadata/index.ts';
import { DelayDelivery } from '../../../core-broker/broker/schedule/index.ts';
import type { MessageDraft, MessageWriter } from '../../../core-broker/broker/writing/index.ts';
import { encodeHost, encodeRecord } from '../../../core-broker/protocol/index.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';

const host = encodeHost('127.0.0.1', 1);
const parked = (queueOffset: number, storeTimestampMs: number): Buffer =>
  encodeRecord({
    queueId: 0,
    flag: 0,
    queueOffset,
    physicalOffset: queueOffset * 100,
    sysFlag: 0,
    bornTimestampMs: 0,
    bornHost: host,
    storeTimestampMs,
    storeHost: host,
    reconsumeTimes: 2,
    preparedTransactionOffset: 0,
    body: Buffer.from(`m${queueOffset}`),
    topic: 'SCHEDULE_TOPIC_XXXX',
    properties: 'REAL_TOPIC\u0001T\u0002REAL_QID\u00013\u0002DELAY\u00011\u0002',
  });

let folder: string;
let nowMs: number;
let records: Buffer[];
let delivered: MessageDraft[];
let refusal: DrError | undefined;
let makeDurable: () => void;
let delays: DelayOffsets;
let delivery: DelayDelivery;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-schedule-'));
  nowMs = 10_000;
  records = [];
  delivered = [];
  refusal = undefined;
  makeDurable = () => undefined;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  delays = new DelayOffsets(path.join(folder, 'delayOffset.json'), clock);
  const store = {
    topic: (name: string) => ({ name, bytes: Buffer.from(name), id: 0 }),
    bounds: ({ queueId }: { queueId: number }) =>
      queueId === 0 ? { min: 0, max: records.length } : undefined,
    pull: (_: unknown, from: number) => ({
      status: from < records.length ? 'FOUND' : 'OFFSET_OVERFLOW_ONE',
      nextBeginOffset: records.length,
      chunks: records.slice(from),
    }),
    durable: () => new Promise<void>((resolve) => (makeDurable = resolve)),
  } as unknown as MessageStore;
  const writer = {
    append: (draft: MessageDraft) => {
      if (refusal) throw refusal;
      delivered.push(draft);
      return { physicalOffset: 1_000, sizeBytes: 10, queueOffset: 0, storeTimestampMs: 0 };
    },
  } as unknown as MessageWriter;
  delivery = new DelayDelivery({ store, delays, writer, clock, levelsMs: [1_000] });
});
afterEach(() => {
  delivery.stop();
  vi.useRealTimers();
  fs.rmSync(folder, { recursive: true, force: true });
});

const scan = async () => {
  vi.advanceTimersByTime(100);
  await new Promise((resolve) => setImmediate(resolve));
};

describe('delivery', () => {
  test('only what is due is delivered, to its real queue, with everything it had', async () => {
    records = [parked(0, 9_000), parked(1, 9_500)];
    delivery.start();
    await scan();
    expect(delivered.map((draft) => draft.body.toString())).toEqual(['m0']);
    expect(delivered[0]).toMatchObject({ queueId: 3, reconsumeTimes: 2 });
    expect(delivered[0]?.topic.name).toBe('T');
    makeDurable();
    nowMs = 10_500;
    await scan();
    await scan();
    expect(delivered.map((draft) => draft.body.toString())).toEqual(['m0', 'm1']);
  });

  test('the delay offset moves only when the delivered message is durable', async () => {
    records = [parked(0, 0)];
    delivery.start();
    await scan();
    await scan();
    expect(delivered).toHaveLength(1);
    expect(delays.get(1)).toBe(0);
    makeDurable();
    await scan();
    expect(delays.get(1)).toBe(1);
  });

  test('a refused append is tried again after a pause and nothing is skipped', async () => {
    records = [parked(0, 0)];
    refusal = new DrError('FENCED', 'not now');
    delivery.start();
    await scan();
    expect(delays.get(1)).toBe(0);
    refusal = undefined;
    await scan();
    expect(delivered).toHaveLength(0);
    nowMs += 10_000;
    await scan();
    expect(delivered).toHaveLength(1);
  });

  test('nothing is delivered before start and after stop', async () => {
    records = [parked(0, 0)];
    await scan();
    expect(delivered).toHaveLength(0);
    delivery.start();
    delivery.stop();
    await scan();
    expect(delivered).toHaveLength(0);
  });
});
