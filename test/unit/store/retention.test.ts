// What goes when: by age at its hour, above a used share of the disk, by force; and what stays.
import * as fs from 'node:fs';
import * as path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MessageStore, RetentionRules } from '../../../core-broker/store/index.ts';
import { openStore } from '../../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../../core-broker/store/message-store.ts';
import { Retention } from '../../../core-broker/store/space/retention.ts';
import { tuned } from '../../../core-broker/store/tuning.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const QUEUE = { topic: 'orders', queueId: 0 };
const ALL = { messagesMax: 32, bytesMax: 1_000_000, tagCodes: undefined };
const HOUR_MS = 3_600_000;
const ROOMY = { usedRatio: 0.1, freeBytes: 1e12 };
let root = '';
let store: MessageStore;
beforeEach(async () => {
  root = tempFolder();
  store = await openStore(smallStoreOptions(root));
});
afterEach(async () => {
  await store.close();
  fs.rmSync(root, { recursive: true });
});

const parts = () => partsOf(store as FileMessageStore);
const retention = (changed: Partial<RetentionRules> = {}) =>
  new Retention(
    parts(),
    tuned(smallStoreOptions('', { deleteCommitLogFilesIntervalMs: 0, ...changed })),
  );
const logFiles = () => fs.readdirSync(path.join(root, 'commitlog')).sort();
const hour = (hours: number) => new Date().setHours(hours, 30);

async function fill(count: number, topic = 'orders'): Promise<void> {
  for (let i = 0; i < count; i++) {
    store.append(recordSource(store, { topic, body: Buffer.alloc(500, i) }));
    if (i % 50 === 49) await store.flush();
  }
  await store.flush();
  await store.dispatched();
  parts().topics.writeOutNow();
}

function age(hours: number, names = logFiles()): void {
  const at = new Date(Date.now() - hours * HOUR_MS);
  for (const name of names) fs.utimesSync(path.join(root, 'commitlog', name), at, at);
}

describe('retention', () => {
  test('deletes by age at its hour, never the last file, and trims queues', async () => {
    await fill(900);
    const files = logFiles();
    age(100);
    expect(await retention().run(hour(12), ROOMY)).toBe(0);
    age(0, [files[3] as string]);
    expect(await retention().run(hour(4), ROOMY)).toBe(3);
    expect(store.storeBounds().minOffset).toBe(3 * 65_536);
    const min = store.bounds(QUEUE)!.min;
    expect(min).toBeGreaterThan(0);
    expect(store.pull(QUEUE, min, ALL).status).toBe('FOUND');
    expect(store.pull(QUEUE, min - 1, ALL).status).toBe('OFFSET_TOO_SMALL');
    const first = store.pull(QUEUE, min, ALL).chunks[0]!;
    expect(Number(first.readBigInt64BE(20))).toBe(min);
    expect(fs.readdirSync(path.join(root, 'consumequeue/orders/0')).sort()[0]).toBe(
      String((min - (min % 100)) * 20).padStart(20, '0'),
    );
    await store.close();
    store = await openStore(smallStoreOptions(root));
    expect(store.bounds(QUEUE)).toEqual({ min, max: 900 });
  });

  test('above diskMaxUsedSpaceRatio age decides at any hour, in batches', async () => {
    await fill(900);
    age(100);
    const rules = { deleteFileBatchMax: 2 };
    expect(await retention(rules).run(hour(12), { ...ROOMY, usedRatio: 0.75 })).toBe(0);
    expect(await retention(rules).run(hour(12), { ...ROOMY, usedRatio: 0.76 })).toBe(2);
    age(1);
    expect(await retention(rules).run(hour(12), { ...ROOMY, usedRatio: 0.8 })).toBe(0);
  });

  test('above the forced level age does not count, unless cleanFileForciblyEnable is off', async () => {
    await fill(900);
    const crowded = { usedRatio: 0.86, freeBytes: 1e9 };
    expect(await retention({ cleanFileForciblyEnable: false }).run(hour(12), crowded)).toBe(0);
    const before = logFiles().length;
    expect(await retention().run(hour(12), crowded)).toBe(Math.min(10, before - 1));
    expect(logFiles().length).toBe(before - Math.min(10, before - 1));
    store.append(recordSource(store));
  });

  test('above the warning level appends are refused until there is room', async () => {
    await fill(10);
    const one = retention();
    await one.run(hour(12), { usedRatio: 0.91, freeBytes: 1e9 });
    expect(() => store.append(recordSource(store))).toThrow(
      expect.objectContaining({ code: 'DISK_FULL' }),
    );
    expect(store.problems()[0]).toMatch(/nearly full/);
    await one.run(hour(12), { usedRatio: 0.9, freeBytes: 1e9 });
    store.append(recordSource(store));
    expect(store.problems()).toEqual([]);
  });

  test('by hand it deletes at any hour what has its age', async () => {
    await fill(900);
    age(100, logFiles().slice(0, 2));
    const one = retention();
    one.runByHand();
    expect(await one.run(hour(12), ROOMY)).toBe(2);
    store.deleteExpired();
  });

  test('what a follower reads stays by age, and goes by force', async () => {
    await fill(900);
    age(100);
    const one = retention();
    one.keepFor(() => 2 * 65_536 + 1);
    expect(await one.run(hour(4), ROOMY)).toBe(2);
    expect(await one.run(hour(4), { usedRatio: 0.88, freeBytes: 1 })).toBeGreaterThan(0);
  });

  test('a queue whose messages are gone keeps its end', async () => {
    await fill(30, 'gone');
    await fill(900);
    age(100);
    await retention().run(hour(4), ROOMY);
    const gone = { topic: 'gone', queueId: 0 };
    expect(store.bounds(gone)).toEqual({ min: 30, max: 30 });
    store.trimQueues();
    expect(store.append(recordSource(store, { topic: 'gone' })).queueOffset).toBe(30);
  });
});

test('whatever is deleted, every kept message is readable at its offset and no other', async () => {
  await fill(900);
  const bodies = 900;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 3 }), async (files) => {
      age(0);
      age(100, logFiles().slice(0, files));
      await retention().run(hour(4), ROOMY);
      const { min, max } = store.bounds(QUEUE)!;
      expect(max).toBe(bodies);
      const logMin = store.storeBounds().minOffset;
      expect(parts().topics.find(QUEUE)!.physicalAt(min)).toBeGreaterThanOrEqual(logMin);
      if (min > 0) {
        expect(store.pull(QUEUE, min - 1, ALL).status).toBe('OFFSET_TOO_SMALL');
      }
      for (let at: number = min; at < max; ) {
        const found = store.pull(QUEUE, at, ALL);
        expect(found.status).toBe('FOUND');
        at = found.nextBeginOffset;
      }
    }),
    { numRuns: 8 },
  );
});
