// The mirror link attached to stock Apache masters: the standby's commit log is byte for byte the
// master's, roll-over included, across restarts of the master; and the client library works against
// them. Sends and reads are ours, so both rooms meet the real thing here.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../core-broker/base/index.ts';
import { type Broker, brokerConfig, createBroker } from '../../core-broker/broker/index.ts';
import { AdminClient, Producer, PushConsumer } from '../../core-broker/client/index.ts';
import { createLogLink, type Link, linkConfigSchema } from '../../replicator/index.ts';
import { freePort } from '../support/dr-parts.ts';
import { until } from '../support/until.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

const FILE_BYTES = 1024 * 1024;
const SECRET = new Secret('interop');
let folder: string;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-link-stock-'));
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function stockRegion(version: ServerVersion) {
  const ports = { nameserver: await freePort(), broker: await freePort(true) };
  const nameserver = await startNameserver({
    version,
    folder: path.join(folder, 'ns'),
    port: ports.nameserver,
  });
  cleanUp.push(() => nameserver.kill());
  let broker: RunningServer | undefined;
  const up = async () => {
    broker = await startBroker({
      version,
      folder: path.join(folder, 'stock'),
      port: ports.broker,
      namesrv: nameserver.address,
      properties: { mappedFileSizeCommitLog: FILE_BYTES, mappedFileSizeConsumeQueue: 6_000 },
    });
  };
  const down = async () => {
    await broker?.stop();
    broker = undefined;
  };
  cleanUp.push(async () => broker?.kill());
  await up();
  const admin = new AdminClient({ nameservers: [nameserver.address] });
  cleanUp.push(async () => admin.close());
  return { nameserver, up, down, admin, address: broker?.address ?? '' };
}

async function standby(source: string): Promise<Broker> {
  const broker = createBroker({
    config: brokerConfig({
      brokerClusterName: 'DefaultCluster',
      brokerName: 'broker-a',
      brokerIP1: '127.0.0.1',
      bindAddress: '127.0.0.1',
      listenPort: 0,
      haListenPort: 0,
      storePathRootDir: path.join(folder, 'standby'),
      mappedFileSizeCommitLog: FILE_BYTES,
      mappedFileSizeConsumeQueue: 6_000,
      namesrvAddr: '',
    }),
    dr: {
      region: 'west',
      initialRole: 'standby',
      secret: SECRET,
      regions: { east: { nameservers: [], brokers: { 'broker-a': source } } },
      globalNameservers: [],
      standbyGroups: [],
      leaseMs: 0,
      haAllow: [],
    },
  });
  await broker.start();
  cleanUp.push(() => broker.stop());
  return broker;
}

async function follow(broker: Broker, source: string): Promise<Link> {
  if (broker.sink === undefined || broker.metadataSink === undefined) throw new Error('no sink');
  const link = createLogLink(
    {
      source,
      stateDir: broker.storeRoot,
      ownRegion: 'west',
      ownStoreId: broker.status()?.storeId ?? '',
      secret: SECRET,
      config: linkConfigSchema.parse({}),
    },
    broker.sink,
    broker.metadataSink,
  );
  cleanUp.push(() => link.stop());
  await link.start();
  return link;
}

/** All bytes of a commit-log folder up to `end`. */
function logFiles(store: string, end: number): Buffer {
  const log = path.join(store, 'commitlog');
  const files = fs
    .readdirSync(log)
    .filter((name) => /^\d{20}$/.test(name))
    .sort();
  return Buffer.concat(files.map((name) => fs.readFileSync(path.join(log, name)))).subarray(0, end);
}

/** The store folder below a broker's folder, wherever its recipe puts it. */
function storeOf(root: string): string {
  const found = fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .find((name) => path.basename(name) === 'commitlog');
  return path.dirname(path.join(root, found ?? ''));
}

describe.each<ServerVersion>(['5.5.0', '4.9.7'])('a stock %s master', (version) => {
  test('is copied byte for byte, followed over a restart, and its metadata follows', async () => {
    const region = await stockRegion(version);
    const topic = 'orders';
    await region.admin.createTopic(region.address, { topic, queues: 4 });
    const producer = new Producer({
      nameservers: [region.nameserver.address],
      group: 'producers',
      routePollMs: 500,
    });
    producer.start();
    cleanUp.push(() => producer.stop());
    const send = async (count: number) => {
      for (let i = 0; i < count; i++) {
        await producer.send({ topic, body: `${i}`.padEnd(2_000, '.'), keys: `k${i}`, tags: 'A' });
      }
    };
    // 4.9.7 answers code 28 with an exception of its own during its first second.
    const endOfSource = async () => {
      const info = await region.admin.runtimeInfo(region.address).catch(() => undefined);
      return Number(info?.['commitLogMaxOffset'] ?? -1);
    };
    await until(
      async () => (await region.admin.topicList()).includes(topic),
      'topic known',
      60_000,
    );
    // More than one commit-log file: the roll-over is part of what is copied.
    await send(800);
    const got = new Set<string>();
    const consumer = new PushConsumer({
      nameservers: [region.nameserver.address],
      group: 'billing',
      topics: { [topic]: 'A' },
      from: 'first',
      rebalanceMs: 1_000,
      commitMs: 500,
      onMessage: (message) => {
        got.add(message.msgId);
        return true;
      },
    });
    consumer.start();
    cleanUp.push(() => consumer.stop());
    await until(() => got.size === 800, 'all consumed', 60_000);

    const broker = await standby(region.address);
    const link = await follow(broker, region.address);
    await until(async () => broker.sink?.validatedEnd() === (await endOfSource()), 'level', 60_000);
    await until(() => link.status().state === 'following', 'following');
    await region.down();
    await region.up();
    await until(async () => (await region.admin.topicList()).includes(topic), 'topic back', 60_000);
    await producer.routes.refresh(topic);
    await send(100);
    await until(async () => broker.sink?.validatedEnd() === (await endOfSource()), 'again', 60_000);
    await until(() => link.health().isHealthy, 'healthy');

    const end = await endOfSource();
    expect(end).toBeGreaterThan(FILE_BYTES);
    await broker.store.flush();
    const ours = logFiles(path.join(folder, 'standby'), end);
    expect(ours.length).toBe(end);
    expect(ours.equals(logFiles(storeOf(path.join(folder, 'stock')), end))).toBe(true);
    const copy = await region.admin.topicTable(broker.address);
    expect(copy.topicConfigTable[topic]).toMatchObject({ writeQueueNums: 4 });
    const groupOffsets = async (address: string) =>
      (await region.admin.consumerOffsets(address)).offsetTable[`${topic}@billing`];
    await until(async () => {
      const [theirs, here] = [
        await groupOffsets(region.address),
        await groupOffsets(broker.address),
      ];
      return theirs !== undefined && JSON.stringify(theirs) === JSON.stringify(here);
    }, 'consumer offsets follow');
  });
});
