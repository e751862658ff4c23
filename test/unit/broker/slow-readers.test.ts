// Readers that are far behind: which broker they are told to ask, and when their group is switched off.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { queueOffset, systemClock } from '../../../core-broker/base/index.ts';
import { GroupTable } from '../../../core-broker/broker/metadata/index.ts';
import { SlowReaders } from '../../../core-broker/broker/pull/index.ts';
import { newSubscriptionGroup, writeInt64 } from '../../../core-broker/protocol/index.ts';
import type { PullResult } from '../../../core-broker/store/index.ts';

let folder = '';
let groups: GroupTable;
const config = {
  slaveReadEnable: false,
  accessMessageInMemoryMaxRatio: 40,
  disableConsumeIfConsumerReadSlowly: false,
  consumerFallbehindThreshold: 500,
};
const group = { ...newSubscriptionGroup('G'), brokerId: 2, whichBrokerWhenConsumeSlowly: 3 };
const queue = { topic: 'T', queueId: 0 };

/** A pull answer whose first record lies `behind` bytes before the end of the log. */
const answer = (behind: number): PullResult => {
  const record = Buffer.alloc(64);
  writeInt64(record, 10_000 - behind, 28);
  const at = queueOffset(0);
  return {
    ...{ status: 'FOUND', nextBeginOffset: at, minOffset: at, maxOffset: at },
    ...{ messageCount: 1, chunks: [record], sizeBytes: 64 },
  };
};
const readers = (changes: Partial<typeof config>) =>
  new SlowReaders({
    config: { ...config, ...changes },
    groups,
    logEnd: () => 10_000,
    memoryBytes: 1_000,
  });

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-readers-'));
  groups = new GroupTable(path.join(folder, 'subscriptionGroup.json'), systemClock);
  groups.put(group);
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe('readers that are far behind', () => {
  test('ask the master, whatever their group says, where slaves are not read', () => {
    expect(readers({}).seen(group, queue, answer(9_000))).toBe(0);
  });

  test('ask the broker their group names for slow readers; others ask its broker', () => {
    const table = readers({ slaveReadEnable: true });
    expect(table.seen(group, queue, answer(401))).toBe(3);
    expect(table.seen(group, queue, answer(400))).toBe(2);
    expect(
      table.seen(group, queue, { ...answer(0), chunks: [], status: 'NO_MATCHED_MESSAGE' }),
    ).toBe(2);
  });

  test('are switched off above the threshold, and only where that is wanted', () => {
    const off = readers({});
    off.seen(group, queue, answer(9_000));
    off.protect();
    expect(groups.find('G')?.consumeEnable).toBe(true);
    const on = readers({ disableConsumeIfConsumerReadSlowly: true });
    on.seen(group, queue, answer(500));
    on.protect();
    expect(groups.find('G')?.consumeEnable).toBe(true);
    on.seen(group, { ...queue, queueId: 1 }, answer(501));
    on.protect();
    expect(groups.find('G')?.consumeEnable).toBe(false);
  });

  test('that have caught up are not behind any more', () => {
    const table = readers({ disableConsumeIfConsumerReadSlowly: true });
    table.seen(group, queue, answer(9_000));
    table.seen(group, queue, { ...answer(0), chunks: [], status: 'OFFSET_OVERFLOW_ONE' });
    table.protect();
    expect(groups.find('G')?.consumeEnable).toBe(true);
  });
});
