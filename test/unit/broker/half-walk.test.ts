// The check of open transactions over queues in memory and a clock of the test.
import { beforeEach, describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  type HalfMessage,
  type HalfQueues,
  HalfWalk,
  type WalkActions,
  type WalkPosition,
} from '../../../core-broker/broker/transactions/index.ts';
import {
  type DecodedRecord,
  decodeRecord,
  encodeHost,
  encodeRecord,
  formatMessageProperties,
} from '../../../core-broker/protocol/index.ts';

const host = encodeHost('127.0.0.1', 1);
const START_MS = 1_000_000;

let nowMs: number;
let halves: (DecodedRecord | undefined)[];
let ops: DecodedRecord[];
let position: WalkPosition;
let asked: { key: string; times: string; half: number }[];
let givenUp: string[];
let refusal: DrError | undefined;
let isDurable: boolean;
let pending: Set<number>;
let walk: HalfWalk;

const record = (queueOffset: number, properties: Record<string, string>, body: string) =>
  decodeRecord(
    encodeRecord({
      queueId: 0,
      flag: 7,
      queueOffset,
      physicalOffset: queueOffset * 1_000,
      sysFlag: 0,
      bornTimestampMs: nowMs,
      bornHost: host,
      storeTimestampMs: nowMs,
      storeHost: host,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from(body),
      topic: 'RMQ_SYS_TRANS_HALF_TOPIC',
      properties: formatMessageProperties(Object.entries(properties)),
    }),
  );

const half = (key: string, more: Record<string, string> = {}): number => {
  const offset = halves.length;
  halves.push(record(offset, { UNIQ_KEY: key, REAL_TOPIC: 'T', REAL_QID: '2', ...more }, key));
  return offset;
};
const op = (body: string, tag = 'd'): void => {
  ops.push(record(ops.length, { TAGS: tag }, body));
};

const queues: HalfQueues = {
  half: (offset) => {
    const found = halves[offset];
    if (found) return { records: [found], next: offset + 1 };
    const next = halves.findIndex((each, at) => at > offset && each !== undefined);
    return { records: [], next: next < 0 ? offset : next };
  },
  ops: (offset) => {
    const records = ops.slice(offset, offset + 32);
    return { records, next: offset + records.length };
  },
  position: () => position,
  advance: (to) => {
    if (!isDurable) throw new Error('a position moved before its records were durable');
    position = to;
  },
};

const actions: WalkActions = {
  dispatched: () => Promise.resolve(),
  durable: async () => {
    await Promise.resolve();
    isDurable = true;
  },
  putAgain: ({ record: old, properties }) => {
    if (refusal) throw refusal;
    isDurable = false;
    const queueOffset = halves.length;
    const again = record(queueOffset, Object.fromEntries(properties), old.body.toString());
    halves.push({ ...again, bornTimestampMs: old.bornTimestampMs });
    return { queueOffset, physicalOffset: queueOffset * 1_000, end: 1 };
  },
  giveUp: ({ properties }: HalfMessage) => {
    isDurable = false;
    givenUp.push(properties.get('UNIQ_KEY') ?? '');
    return { end: 1 };
  },
  ask: ({ properties }, at) => {
    if (!isDurable) throw new Error('asked before the record was durable');
    const text = (name: string) => properties.get(name) ?? '';
    asked.push({
      key: text('UNIQ_KEY'),
      times: text('TRANSACTION_CHECK_TIMES'),
      half: at.queueOffset,
    });
  },
  isPending: (offset) => pending.has(offset),
};

beforeEach(() => {
  nowMs = START_MS;
  halves = [];
  ops = [];
  position = { half: 0, op: 0 };
  asked = [];
  givenUp = [];
  refusal = undefined;
  isDurable = true;
  pending = new Set();
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const rules = () => ({ timeoutMs: 6_000, checkMax: 3, reservedMs: 3_600_000 });
  walk = new HalfWalk({ queues, actions, rules, clock });
});

const round = async (afterMs: number) => {
  nowMs += afterMs;
  await walk.round(() => true);
};

describe('what is asked about', () => {
  test('nothing before transactionTimeOut, then the message put again with a count', async () => {
    half('a');
    await round(6_000);
    expect(asked).toEqual([]);
    expect(position).toEqual({ half: 0, op: 0 });
    await round(1);
    expect(asked).toEqual([{ key: 'a', times: '1', half: 1 }]);
    expect(position.half).toBe(1);
    expect(halves[1]).toMatchObject({ flag: 7, bornTimestampMs: START_MS });
    await round(30_000);
    expect(asked.at(-1)).toEqual({ key: 'a', times: '2', half: 2 });
  });

  test('a settled message is never asked about, wherever its op stands', async () => {
    for (let i = 0; i < 100; i++) half(`m${i}`);
    for (let i = 99; i > 0; i--) op(String(i));
    await round(7_000);
    expect(asked.map(({ key }) => key)).toEqual(['m0']);
    expect(position.half).toBe(100);
  });

  test('ops of both forms are read, and the op position follows', async () => {
    for (const key of ['a', 'b', 'c', 'd', 'e']) half(key);
    op('0');
    op('1,2,');
    op('4,9,');
    await round(7_000);
    expect(asked.map(({ key }) => key)).toEqual(['d']);
    // The third op names a message that does not exist yet.
    expect(position).toEqual({ half: 5, op: 2 });
  });

  test('two ops for one message do not hold the op position up', async () => {
    half('a');
    op('0');
    op('0');
    await round(7_000);
    expect(position).toEqual({ half: 1, op: 2 });
  });

  test('an op with another tag or without a number settles nothing', async () => {
    half('a');
    op('0', 'x');
    op('none');
    await round(7_000);
    expect(asked.map(({ key }) => key)).toEqual(['a']);
    expect(position.op).toBe(2);
  });

  test('a message whose op is still to be written is settled', async () => {
    half('a');
    pending.add(0);
    await round(7_000);
    expect(asked).toEqual([]);
    expect(position.half).toBe(1);
  });

  test('a message of a producer whose clock is ahead is asked about at once', async () => {
    nowMs += 60_000;
    half('a');
    halves[0] = { ...(halves[0] as DecodedRecord), storeTimestampMs: START_MS };
    nowMs -= 59_000;
    await round(0);
    expect(asked.map(({ key }) => key)).toEqual(['a']);
  });

  test('deleted half messages are stepped over', async () => {
    half('a');
    half('b');
    halves[0] = undefined;
    await round(7_000);
    expect(asked.map(({ key }) => key)).toEqual(['b']);
  });
});

describe('immunity', () => {
  test('an immune message is kept, uncounted, and asked about afterwards', async () => {
    half('a', { CHECK_IMMUNITY_TIME_IN_SECONDS: '60' });
    half('b');
    await round(30_000);
    expect(asked.map(({ key }) => key)).toEqual(['b']);
    expect(halves[2]?.properties).toContain('TRAN_PREPARED_QUEUE_OFFSET\u00010\u0002');
    expect(halves[2]?.properties).not.toContain('TRANSACTION_CHECK_TIMES');
    await round(30_001);
    expect(asked.find(({ key }) => key === 'a')).toMatchObject({ times: '1', half: 4 });
  });

  test('a message settled while immune is not asked about, in whatever round its op is read', async () => {
    half('a', { CHECK_IMMUNITY_TIME_IN_SECONDS: '60' });
    await round(7_000);
    op('0');
    await round(1_000);
    expect(halves).toHaveLength(2);
    await round(100_000);
    expect(asked).toEqual([]);
    expect(position).toEqual({ half: 2, op: 1 });
  });
});

describe('what is given up', () => {
  test('a message after transactionCheckMax checks', async () => {
    half('a');
    for (let i = 0; i < 6; i++) await round(30_000);
    expect(asked.map(({ times }) => times)).toEqual(['1', '2', '3']);
    expect(givenUp).toEqual(['a']);
    expect(position.half).toBe(4);
  });

  test('a message older than fileReservedTime', async () => {
    half('a');
    await round(3_600_001);
    expect(givenUp).toEqual(['a']);
    expect(asked).toEqual([]);
  });

  test('a settled one is not, however often it was checked', async () => {
    half('a', { TRANSACTION_CHECK_TIMES: '3' });
    for (let i = 0; i < 40; i++) op('77');
    op('0');
    await round(3_600_001);
    expect(givenUp).toEqual([]);
  });

  test('one whose count no longer fits into its properties, so that others go on', async () => {
    half('a');
    refusal = new DrError('USAGE', 'properties too long');
    await round(7_000);
    expect(givenUp).toEqual(['a']);
  });
});

describe('faults', () => {
  test('a refused append leaves the position where it was, and the next round goes on', async () => {
    half('a');
    refusal = new DrError('DISK_FULL', 'full');
    await expect(round(7_000)).rejects.toThrow('full');
    expect(position.half).toBe(0);
    refusal = undefined;
    await round(1);
    expect(asked.map(({ key }) => key)).toEqual(['a']);
  });

  test('a side that stops asks nobody and moves nothing', async () => {
    half('a');
    nowMs += 7_000;
    let calls = 0;
    await walk.round(() => ++calls < 2);
    expect(asked).toEqual([]);
    expect(position.half).toBe(0);
  });

  test('a walker that starts anew at the stored position goes on with the copies', async () => {
    half('a');
    half('b');
    op('1');
    await round(7_000);
    const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
    const rules = () => ({ timeoutMs: 6_000, checkMax: 3, reservedMs: 3_600_000 });
    walk = new HalfWalk({ queues, actions, rules, clock });
    op('2');
    await round(30_000);
    expect(asked).toEqual([{ key: 'a', times: '1', half: 2 }]);
    expect(position).toEqual({ half: 3, op: 2 });
  });

  test('walked again, originals with a copy are passed and those without are asked about', async () => {
    half('a');
    half('b');
    half('c');
    op('2');
    half('a', { TRANSACTION_CHECK_TIMES: '1' });
    half('b', { TRANSACTION_CHECK_TIMES: '1' });
    // The copy of b never came over.
    halves.pop();
    walk.walkAgain(3);
    await round(7_000);
    expect(asked.map(({ key, times }) => `${key} ${times}`)).toEqual(['b 1', 'a 2']);
  });

  test('a queue of thousands of open messages is walked in steps', async () => {
    for (let i = 0; i < 5_000; i++) half(`m${i}`);
    let steps = 0;
    nowMs += 7_000;
    await walk.round(() => ++steps > 0);
    expect(asked).toHaveLength(5_000);
    expect(steps).toBeGreaterThan(100);
  });
});
