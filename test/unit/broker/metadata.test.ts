// The tables of a broker: files in Apache's form, commits, snapshots of an active side.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../core-broker/base/index.ts';
import { OPEN_ADMISSION } from '../../../core-broker/broker/admission.ts';
import { brokerConfig } from '../../../core-broker/broker/index.ts';
import { Creation, openMetadata } from '../../../core-broker/broker/metadata/index.ts';
import { newTopicConfig } from '../../../core-broker/protocol/index.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';

let root: string;
let maxima: Record<string, number>;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-metadata-'));
  maxima = {};
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

/** What the tables ask of a store. */
const store = () =>
  ({
    topic: (name: string) => ({ name, bytes: Buffer.from(name), id: 0 }),
    followDeletions: () => undefined,
    bounds: ({ topic, queueId }: { topic: string; queueId: number }) => {
      const max = maxima[`${topic}@${queueId}`];
      return max === undefined ? undefined : { min: 0, max };
    },
  }) as unknown as MessageStore;

const config = () => brokerConfig({ storePathRootDir: root, brokerName: 'broker-a' });
const open = () => openMetadata({ config: config(), store: store(), clock: systemClock });
const file = (name: string) => path.join(root, 'config', name);
const key = { topic: 'T', group: 'G', queueId: 1 };

describe('topics', () => {
  test('the topics of every Apache broker exist after the first boot', () => {
    const { topics } = open();
    expect(topics.find('TBW102')?.config).toMatchObject({ perm: 7, writeQueueNums: 8 });
    expect(topics.find('SCHEDULE_TOPIC_XXXX')?.config.readQueueNums).toBe(18);
    for (const name of ['SELF_TEST_TOPIC', 'BenchmarkTest', 'DefaultCluster', 'broker-a']) {
      expect(topics.find(name), name).toBeDefined();
    }
  });

  test('a topic is found by its bytes only when all of them match', () => {
    const { topics } = open();
    topics.put(newTopicConfig('orders', 4));
    const bytes = Buffer.from('xxordersx');
    expect(topics.findBytes(bytes, 2, 6)?.config.topicName).toBe('orders');
    expect(topics.findBytes(bytes, 2, 7)).toBeUndefined();
    topics.remove('orders');
    expect(topics.findBytes(bytes, 2, 6)).toBeUndefined();
  });

  test('changes are on disk at once, bump the version and are told; equal ones are not', () => {
    const { topics } = open();
    const told: string[][] = [];
    topics.onChange((changed) => told.push(changed.map((one) => one.topicName)));
    const before = topics.version.counter;
    topics.put(newTopicConfig('orders', 4));
    topics.put(newTopicConfig('orders', 4));
    expect(topics.version.counter).toBe(before + 1);
    expect(told).toEqual([['orders']]);
    expect(open().topics.find('orders')?.config.writeQueueNums).toBe(4);
  });

  test('loose fastjson of a stock broker is read', () => {
    fs.mkdirSync(path.join(root, 'config'));
    fs.writeFileSync(file('consumerOffset.json'), '{"offsetTable":{"T@G":{0:5,1:6\n}}}');
    fs.writeFileSync(file('delayOffset.json'), '{"offsetTable":{3:9}}');
    const { offsets, delays } = open();
    expect(offsets.query(key)).toBe(6);
    expect(delays.get(3)).toBe(9);
  });

  test('a damaged file falls back to its backup; two damaged ones refuse the boot', () => {
    open().topics.put(newTopicConfig('a', 1));
    open().topics.put(newTopicConfig('b', 1));
    fs.writeFileSync(file('topics.json'), '{"topicConf');
    expect(open().topics.find('a')).toBeDefined();
    fs.writeFileSync(file('topics.json'), '');
    fs.writeFileSync(`${file('topics.json')}.bak`, 'junk');
    expect(() => open()).toThrow(/neither the file nor its backup/);
  });
});

describe('consumer offsets', () => {
  test('commits overwrite, negative ones are ignored, and they survive a restart', () => {
    const tables = open();
    tables.offsets.commit(key, 7);
    tables.offsets.commit(key, 3);
    tables.offsets.commit(key, -1);
    expect(tables.offsets.query(key)).toBe(3);
    tables.save();
    expect(open().offsets.query(key)).toBe(3);
  });

  test('a bound is in its file no earlier and no later than the offsets it belongs to', async () => {
    const { offsets } = open();
    offsets.commit(key, 9);
    offsets.bound(key, 5);
    const saved = offsets.aside();
    expect(open().offsets.boundFor(key, 9)).toBe(5);
    await saved;
    offsets.boundFor(key, 5);
    offsets.commit(key, 6);
    const spent = offsets.aside();
    const after = open().offsets;
    expect([after.query(key), after.boundFor(key, 9)]).toEqual([6, undefined]);
    await spent;
  });

  test('a reset is stored, given out once, and commits in between do not undo it', () => {
    const { offsets } = open();
    offsets.commit(key, 9);
    offsets.reset(key, 2);
    offsets.commit(key, 10);
    expect(offsets.query(key)).toBe(2);
    expect(offsets.takeReset(key)).toBe(2);
    expect(offsets.takeReset(key)).toBeUndefined();
    offsets.commit(key, 11);
    expect(offsets.query(key)).toBe(11);
  });

  test('topics and groups are found from either side', () => {
    const { offsets } = open();
    offsets.commit(key, 1);
    offsets.commit({ ...key, topic: '%RETRY%G' }, 1);
    expect(offsets.topicsOf('G').sort()).toEqual(['%RETRY%G', 'T']);
    expect(offsets.groupsOf('T')).toEqual(['G']);
    offsets.removeTopic('T');
    expect(offsets.query(key)).toBe(-1);
  });
});

describe('snapshots', () => {
  const content = () => ({
    topics: { dataVersion: {}, topicConfigTable: { T: newTopicConfig('T', 2) } },
    groups: { subscriptionGroupTable: { G: { groupName: 'G', retryMaxTimes: 5 } } },
    consumerOffsets: { offsetTable: { 'T@G': { 0: 50, 1: 4 }, 'T@S': { 1: 8 } } },
    delayOffsets: { offsetTable: { 2: 30 } },
  });

  test('an applied snapshot replaces the tables and never points beyond the copied data', () => {
    maxima = { 'T@0': 10, 'T@1': 10, 'SCHEDULE_TOPIC_XXXX@1': 12 };
    const tables = open();
    tables.topics.put(newTopicConfig('gone', 1));
    expect(tables.apply(content())).toMatchObject({ topics: 1, groups: 1, delayLevels: 1 });
    expect(tables.topics.find('gone')).toBeUndefined();
    expect(tables.topics.find('TBW102')).toBeDefined();
    expect(tables.groups.find('G')?.retryMaxTimes).toBe(5);
    const again = open();
    expect(again.offsets.query({ ...key, queueId: 0 })).toBe(10);
    expect(again.offsets.query(key)).toBe(4);
    expect(again.delays.get(2)).toBe(12);
  });

  test('groups that consume at the standby keep their offsets, in a file of their own', () => {
    maxima = { 'T@1': 10 };
    const tables = open();
    tables.setStandbyGroups(['S']);
    tables.offsets.commit({ ...key, group: 'S' }, 3);
    tables.save();
    tables.apply(content());
    expect(tables.offsets.query({ ...key, group: 'S' })).toBe(3);
    const again = open();
    again.setStandbyGroups(['S']);
    expect(again.offsets.query({ ...key, group: 'S' })).toBe(3);
  });

  test('both sides prove the same offsets, even when a consumer committed beyond the end', () => {
    maxima = { 'T@0': 10, 'T@1': 10, 'SCHEDULE_TOPIC_XXXX@1': 12 };
    const active = open();
    active.offsets.commit({ ...key, queueId: 0 }, 99);
    active.delays.set(2, 5);
    const lines = (tables: typeof active) => {
      const { consumer, delay } = tables.offsetLines();
      return [...[...consumer].sort(), ...delay];
    };
    const before = lines(active);
    expect(before).toEqual(['T@G@0=10', '2=5']);
    active.apply(active.snapshot());
    expect(lines(active)).toEqual(before);
  });

  test('a snapshot of the wrong shape changes nothing', () => {
    const tables = open();
    tables.topics.put(newTopicConfig('mine', 1));
    expect(() => tables.apply({ ...content(), delayOffsets: 'x' })).toThrow(/offsetTable/);
    expect(tables.topics.find('mine')).toBeDefined();
  });
});

describe('creation by use', () => {
  const creation = (mayCreate: boolean, tables = open()) =>
    new Creation(config(), tables, { current: { ...OPEN_ADMISSION, mayCreate } });

  test('topics follow TBW102: its queues at most, its permission without INHERIT', () => {
    const made = creation(true).fromDefault({ topic: 'n', defaultTopic: 'TBW102', queueNums: 20 });
    expect(made?.config).toMatchObject({ writeQueueNums: 8, perm: 6 });
  });

  test('a topic without INHERIT is no pattern', () => {
    const wish = { topic: 'n', defaultTopic: 'SELF_TEST_TOPIC', queueNums: 4 };
    expect(creation(true).fromDefault(wish)).toBeUndefined();
  });

  test('nothing is created where the link appends; a group still gets defaults', () => {
    const tables = open();
    const there = creation(false, tables);
    const wish = { topic: 'n', defaultTopic: 'TBW102', queueNums: 4 };
    expect(there.fromDefault(wish)).toBeUndefined();
    expect(there.retryTopic('G', 1)).toBeUndefined();
    expect(there.group('G')?.retryMaxTimes).toBe(16);
    expect(tables.groups.find('G')).toBeUndefined();
  });
});
