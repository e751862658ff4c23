// One store handed to and fro between our broker and stock 4.9.7 and 5.5.0 brokers, after clean stops
// and after kill -9 on both sides, and through a backup. Whoever has it serves every byte the one before
// served, delivers what is due, takes retries and new messages, and gives the store on.
//
//   ours: clean stop -> stock: clean stop -> ours: kill -9 -> stock: kill -9 -> ours: clean stop
//   -> backup and restore -> stock, read by Apache's Java client
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backupConfigSchema } from '../../../backup/index.ts';
import { freePort } from '../../../cli/demo/process.ts';
import { PullConsumer } from '../../../core-broker/client/index.ts';
import {
  decodeConsumerOffsets,
  decodeRecords,
  parseMessageProperties,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { spawnBroker } from '../../support/broker-process.ts';
import { firstPartOf, pullAll, type Served, servedByBroker } from '../../support/stock/served.ts';
import { TapWire } from '../../support/stock/tap-wire.ts';
import { BIG, GROUP, ORDERS, questionsFor, runWorkload } from '../../support/stock/workload.ts';
import { until } from '../../support/until.ts';
import { startClient } from '../peers/clients.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from '../peers/rocketmq.ts';

const SHAPE = {
  mappedFileSizeCommitLog: 1_048_576,
  mappedFileSizeConsumeQueue: 6_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
};
const CLUSTER = 'DefaultCluster';
let folder: string;
let nameserver: RunningServer;
let wire: TapWire;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-exchange-'));
  wire = new TapWire();
});
afterEach(async () => {
  wire.close();
  for (const step of cleanUp.splice(0).reverse()) await step();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Holder {
  address: string;
  /** Clean stop, everything on disk. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

async function ours(root: string): Promise<Holder> {
  const namesrvAddr = nameserver.address;
  const values = { ...SHAPE, namesrvAddr, brokerClusterName: CLUSTER };
  const broker = await spawnBroker(root, values);
  cleanUp.push(() => broker.kill());
  return { address: broker.address, stop: () => broker.stop(), kill: () => broker.kill() };
}

async function stock(version: ServerVersion, root: string): Promise<Holder> {
  const broker = await startBroker({
    version,
    folder: path.join(folder, `stock-${path.basename(path.dirname(root))}`),
    port: await freePort(true),
    namesrv: nameserver.address,
    properties: {
      ...SHAPE,
      storePathRootDir: root,
      storePathCommitLog: path.join(root, 'commitlog'),
      transactionCheckInterval: 86_400_000,
    },
  });
  const kill = async () => {
    broker.child.kill();
    await broker.child.exited;
  };
  cleanUp.push(kill);
  return { address: broker.address, stop: () => broker.stop(), kill };
}

/** What clients may count on; a stock broker keeps positions of its own in topics of its own. */
function forClients(served: Served): Served {
  const keep = <T>(rows: Record<string, T>): Record<string, T> =>
    Object.fromEntries(
      Object.entries(rows).filter(([name]) => !/RMQ_SYS|rmq_sys|CID_|TRANS_CHECK/.test(name)),
    );
  // Which of several messages of one millisecond a search names is each version's own affair.
  return { ...served, times: {}, queues: keep(served.queues), offsets: keep(served.offsets) };
}

/** Adds the test for one stock version to a file. */
export function storeExchange(version: ServerVersion): void {
  test(`a store shared with ${version} is served whole by whoever opens it, after every kind of ending`, async () => {
    const nsFolder = path.join(folder, 'ns');
    nameserver = await startNameserver({ version, folder: nsFolder, port: await freePort() });
    cleanUp.push(() => nameserver.kill());
    const root = path.join(folder, 'shared', 'store');
    const starts: number[] = [];
    const look = async (at: Holder) =>
      forClients(await servedByBroker(wire, at.address, questionsFor(starts, true)));
    /**
     * The store is as it was left; then more goes in, and delays and retries move on. After a kill two
     * things may differ on any broker: what was delayed is delivered twice, and a stock broker drops
     * the index file that was being written and rebuilds only its newest part.
     */
    const visit = async (holder: Holder, before?: Served, ending?: 'killed') => {
      if (before !== undefined && ending === undefined) expect(await look(holder)).toEqual(before);
      if (before !== undefined) {
        expect(await firstPartOf(wire, holder.address, before.queues)).toEqual(before.queues);
        const answer = await wire.call(holder.address, {
          code: RequestCode.GET_ALL_CONSUMER_OFFSET,
        });
        const { offsetTable } = decodeConsumerOffsets(answer.body);
        expect(offsetTable).toMatchObject(before.offsets);
      }
      starts.push(starts.length * 10_000);
      const from = starts.at(-1) ?? 0;
      const big = from === 0 ? 270 : 20;
      await runWorkload(wire, holder.address, { from, big, transactions: false });
      const served = await look(holder);
      expect(served.keys[`${ORDERS}/order-${from}`]).toHaveLength(1);
      return served;
    };
    const first = await ours(root);
    let served = await visit(first);
    await first.stop();
    const second = await stock(version, root);
    served = await visit(second, served);
    await second.stop();
    const third = await ours(root);
    served = await visit(third, served);
    await third.kill();
    const fourth = await stock(version, root);
    served = await visit(fourth, served, 'killed');
    await fourth.kill();
    const fifth = await ours(root);
    served = await visit(fifth, served, 'killed');
    await fifth.stop();
    const sixth = await stock(version, await restoredFrom(root));
    // The index was made anew from the log: every key is found again, those lost above too.
    const last = await look(sixth);
    // Queues are made anew as well. 4.9.7 gives delayed messages a due time of one second then, whatever
    // their level: they come early, behind the rest.
    const restored = await firstPartOf(wire, sixth.address, served.queues);
    expect(restored).toEqual(served.queues);
    expect(last.offsets).toEqual(served.offsets);
    if (version === '5.5.0') expect(last.queues).toEqual(served.queues);
    for (const from of starts) expect(last.keys[`${ORDERS}/pair-${from}`]).toHaveLength(8);
    await readByClients(sixth.address, last);
    expect(Object.keys(served.offsets)).toContain(`${ORDERS}@${GROUP}`);
    expect(served.queues['SCHEDULE_TOPIC_XXXX/17']?.max).toBe(15);
    expect(served.queues[`%RETRY%${GROUP}/0`]?.max).toBeGreaterThanOrEqual(5);
  });
}

async function restoredFrom(root: string): Promise<string> {
  const repository = { kind: 'file', path: path.join(folder, 'repository') };
  const config = backupConfigSchema.parse({ repository, storeId: 'shared' });
  const backup = await initBackup({ config });
  const made = await backup.run({ rootDir: root });
  const target = path.join(folder, 'restored', 'store');
  fs.mkdirSync(path.dirname(target));
  expect((await backup.restore({ id: made.id, target })).breaks).toEqual([]);
  return target;
}

/** Apache's Java client and our own read what the queues are said to hold: all keys, all bodies. */
async function readByClients(address: string, served: Served): Promise<void> {
  const keys = new Set<string>();
  const reader = new PullConsumer({ nameservers: [nameserver.address], group: 'fx-checker' });
  cleanUp.push(async () => reader.stop());
  for (const topic of [ORDERS, BIG]) {
    for (const queue of await reader.queues(topic)) {
      const place = { topic, queueId: queue.queueId, offset: 0 };
      const records = decodeRecords(await pullAll(wire, address, place));
      const bodies: string[] = [];
      for (let offset = 0; offset < records.length; ) {
        const answer = await reader.pull(queue, offset);
        bodies.push(...answer.messages.map((message) => message.body.toString('hex')));
        offset = answer.next;
      }
      expect(bodies).toEqual(records.map(plainBody));
      expect(records.length).toBe(served.queues[`${topic}/${queue.queueId}`]?.max);
      for (const { properties } of records) keys.add(keyOf(properties));
    }
    const consumer = await startClient({
      kind: 'java-5.5.0',
      mode: 'consume',
      namesrv: nameserver.address,
      topic,
      group: `fx-java-${topic}`,
      folder,
      name: `java-${topic}`,
    });
    const wanted = new Set(keys);
    const missing = () => {
      const seen = new Set(consumer.events().map((event) => event.key));
      return [...wanted].filter((key) => key !== '' && !seen.has(key));
    };
    await until(() => missing().length === 0, `${topic} read by the Java client`, 60_000);
    await consumer.stop();
    keys.clear();
  }
}

/** As clients see it: inflated when the producer said so. */
const plainBody = ({ sysFlag, body }: { sysFlag: number; body: Buffer }): string =>
  ((sysFlag & 1) === 1 ? inflateSync(body) : body).toString('hex');

const keyOf = (properties: string): string => parseMessageProperties(properties).get('KEYS') ?? '';
