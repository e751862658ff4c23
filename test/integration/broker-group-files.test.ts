// Groups and retry topics that come with their clients: their files follow off the loop, what an operator
// or a message relies on is there before the answer.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newSubscriptionGroup } from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  eventually,
  heartbeatBody,
  startBroker,
} from '../support/broker-fixture.ts';
import { FaultyFiles } from '../support/faulty-files.ts';

const GROUPS = Array.from({ length: 21 }, (_, n) => `team-${n}`);
const TABLES = /(subscriptionGroup|topics)\.json/;
let disk: FaultyFiles;
let region: BrokerFixture;
beforeEach(async () => {
  disk = new FaultyFiles();
  region = await startBroker();
});
afterEach(async () => {
  disk.restore();
  await region.stop();
});

const beat = (group: string) =>
  region.call(34, {}, heartbeatBody(`client of ${group}`, group, 'orders'));
const inFile = (name: string, table: string) =>
  Object.keys(
    JSON.parse(fs.readFileSync(path.join(region.root, 'config', name), 'utf8'))[table] ?? {},
  );
const groups = () => inFile('subscriptionGroup.json', 'subscriptionGroupTable');
const topics = () => inFile('topics.json', 'topicConfigTable');
const lag = () => ({ path: TABLES, on: 'sync' as const, fails: 'EIO' });

describe('heartbeats of new groups', () => {
  test('are answered by a broker whose disk takes no syncs, and kept when it does', async () => {
    disk.rules = [lag()];
    for (const group of GROUPS) expect((await beat(group)).code).toBe(0);
    await eventually(() =>
      region.broker.health().reasons.some((why) => why.includes('subscriptionGroup.json'))
        ? true
        : undefined,
    );
    expect(groups()).not.toContain(GROUPS[0]);
    disk.rules = [];
    await eventually(() => (groups().includes('team-20') ? true : undefined));
    await eventually(() => (topics().includes('%RETRY%team-20') ? true : undefined));
    expect(groups()).toEqual(expect.arrayContaining(GROUPS));
    await eventually(() => (region.broker.health().reasons.length === 0 ? true : undefined));
  });

  test('write each file a few times, not once each', async () => {
    disk.rules = [{ path: TABLES, on: 'sync', slowMs: 1 }];
    await Promise.all(GROUPS.map(beat));
    await eventually(() => (topics().includes('%RETRY%team-20') ? true : undefined));
    await eventually(() => (groups().includes('team-20') ? true : undefined));
    expect(disk.hits).toBeLessThan(GROUPS.length);
  });

  test('are kept over a stop', async () => {
    await Promise.all(GROUPS.map(beat));
    await region.restart();
    expect(groups()).toEqual(expect.arrayContaining(GROUPS));
    expect(topics()).toContain('%RETRY%team-0');
  });
});

describe('what is relied on is in the file before the answer', () => {
  test('an operator who says what is there already', async () => {
    disk.rules = [lag()];
    await beat('team-0');
    const body = JSON.stringify(newSubscriptionGroup('team-0'));
    expect((await region.call(200, {}, body)).code).not.toBe(0);
    expect(groups()).not.toContain('team-0');
    disk.rules = [];
    expect((await region.call(200, {}, body)).code).toBe(0);
    expect(groups()).toContain('team-0');
  });

  test('a message into a retry topic that came with a heartbeat', async () => {
    disk.rules = [lag()];
    await beat('team-0');
    expect((await region.send('%RETRY%team-0', 'again')).code).not.toBe(0);
    disk.rules = [];
    expect((await region.send('%RETRY%team-0', 'again')).code).toBe(0);
    expect(topics()).toContain('%RETRY%team-0');
  });
});
