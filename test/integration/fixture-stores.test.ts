// Our broker over stores that stock 4.9.7 and 5.5.0 brokers left, asked over the wire what the stock
// broker was asked: every queue, tag, key, search by time and committed offset gives the same answer,
// also from a store that went through our backup. Then it goes on: new messages get the next offsets.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { backupConfigSchema } from '../../backup/index.ts';
import { type Broker, createBroker } from '../../core-broker/broker/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { testConfig } from '../support/broker-fixture.ts';
import { firstPartOf, type Served, servedByBroker } from '../support/stock/served.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import { GROUP, ORDERS, runWorkload } from '../support/stock/workload.ts';
import {
  recordedAtMs,
  type StoreTruth,
  storeFixtures,
  unpackedStore,
} from '../support/store-fixture.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/**
 * The wall clock goes on from `fromMs`. Why: the stores hold messages that are delayed by two hours; by
 * the real clock what a broker serves from them would depend on the hour of the test.
 */
function startClockAt(fromMs: number): void {
  const startedMs = performance.now();
  const clock = vi.spyOn(Date, 'now');
  clock.mockImplementation(() => Math.round(fromMs + performance.now() - startedMs));
  cleanUp.push(async () => clock.mockRestore());
}

function unpack(name: string, laterMs = 1_000) {
  startClockAt(recordedAtMs(name) + laterMs);
  const unpacked = unpackedStore(name);
  cleanUp.push(() => fs.promises.rm(unpacked.folder, { recursive: true, force: true }));
  return unpacked;
}

async function boot(root: string, truth: StoreTruth): Promise<{ broker: Broker; wire: TapWire }> {
  const config = testConfig(root, { ...truth.shape, fileReservedTime: 1_000_000 });
  const broker = createBroker({ config });
  await broker.start();
  cleanUp.push(() => broker.stop());
  const wire = new TapWire();
  cleanUp.push(async () => wire.close());
  return { broker, wire };
}

async function expectServed(broker: Broker, wire: TapWire, truth: StoreTruth): Promise<void> {
  const served = withoutSystem(await servedByBroker(wire, broker.address, truth.questions));
  const wanted = withoutSystem(truth.served);
  if (truth.ending === 'clean') {
    expect(served).toEqual(wanted);
    return;
  }
  // A kill loses the last word on what was delivered: delayed messages may come again, behind the rest.
  const before = wanted.queues;
  expect(await firstPartOf(wire, broker.address, before)).toEqual(before);
  const { tags, keys } = wanted;
  expect(served).toMatchObject({ offsets: wanted.offsets, times: wanted.times });
  for (const [place, found] of Object.entries({ ...tags, ...keys })) {
    const mine = served.tags[place] ?? served.keys[place];
    expect(mine?.slice(0, found.length), place).toEqual(found);
  }
}

/** Positions that a stock broker keeps for itself move while it runs; times need 5.x rules. */
function withoutSystem(served: Served): Served {
  const isOwn = (name: string) => /RMQ_SYS|rmq_sys|CID_/.test(name);
  const own = <T>(rows: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(rows).filter(([name]) => !isOwn(name)));
  return { ...served, queues: own(served.queues), offsets: own(served.offsets) };
}

describe.each(storeFixtures())('the store %s', (name) => {
  test('is served as its own broker served it', async () => {
    const { root, truth } = unpack(name);
    const { broker, wire } = await boot(root, truth);
    await expectServed(broker, wire, truth);
    expect(truth.served.offsets[`${ORDERS}@${GROUP}`]).toEqual({ 0: 3, 1: 4, 2: 5, 3: 6 });
  });

  test('goes on: offsets follow, delays are delivered, retries work', async () => {
    const { root, truth } = unpack(name);
    const { broker, wire } = await boot(root, truth);
    const before = truth.served.queues;
    await runWorkload(wire, broker.address, { from: 50_000, big: 5, transactions: false });
    const after = (await servedByBroker(wire, broker.address, truth.questions)).queues;
    const grown = (key: string) => (after[key]?.max ?? 0) - (before[key]?.max ?? 0);
    expect(grown(`${ORDERS}/0`)).toBe(10);
    expect(grown(`${ORDERS}/1`)).toBe(22);
    expect(grown(`${ORDERS}/2`)).toBe(14);
    expect(grown('SCHEDULE_TOPIC_XXXX/17')).toBe(3);
    expect(grown(`%DLQ%${GROUP}/0`)).toBe(1);
    const again = truth.ending === 'killed' ? 3 : 0;
    for (const [queue, count] of [
      [`${ORDERS}/3`, 12] as const,
      [`%RETRY%${GROUP}/0`, 1] as const,
    ]) {
      expect(grown(queue)).toBeGreaterThanOrEqual(count);
      expect(grown(queue)).toBeLessThanOrEqual(count + 2 * again);
    }
  });

  test('delivers what fell due while no broker ran', async () => {
    const { root, truth } = unpack(name, 3 * 3_600_000);
    const { broker, wire } = await boot(root, truth);
    const before = truth.served.queues[`${ORDERS}/3`]?.max ?? 0;
    const delayed = truth.served.queues['SCHEDULE_TOPIC_XXXX/17']?.max ?? 0;
    expect(delayed).toBeGreaterThan(0);
    const max = async () =>
      (await servedByBroker(wire, broker.address, truth.questions)).queues[`${ORDERS}/3`]?.max;
    await expect.poll(max).toBeGreaterThanOrEqual(before + delayed);
  });

  test('is served the same after backup and restore', async () => {
    const { folder, root, truth } = unpack(name);
    const repository = { kind: 'file', path: path.join(folder, 'repository') };
    const config = backupConfigSchema.parse({ repository, storeId: 'stock' });
    const backup = await initBackup({ config });
    const made = await backup.run({ rootDir: root });
    const target = path.join(folder, 'restored');
    const restored = await backup.restore({ id: made.id, target });
    expect(restored.breaks).toEqual([]);
    const { broker, wire } = await boot(target, truth);
    await expectServed(broker, wire, truth);
  });
});
