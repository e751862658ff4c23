// Records of rarer forms, handed between our broker and a stock 5.5.0 one: with a checksum of the whole
// record in the properties (enabledAppendPropCRC, compared by forceVerifyPropCRC), and of the second
// version, which the retry topics of long group names need. Both boot from the other's store with the
// comparison on and serve every record; damage that only this checksum can show refuses our boot.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../cli/demo/process.ts';
import {
  decodeRecords,
  encodeBatch,
  newDataVersion,
  newSubscriptionGroup,
  Property,
  parseMessageProperties,
  RECORD_MAGIC_V2,
  RequestCode,
} from '../../core-broker/protocol/index.ts';
import { pullFields, sendFields } from '../support/broker-fixture.ts';
import { spawnBroker } from '../support/broker-process.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import { until } from '../support/until.ts';
import { type RunningServer, startBroker, startNameserver } from './peers/rocketmq.ts';

const KEYS = {
  enabledAppendPropCRC: true,
  forceVerifyPropCRC: true,
  mappedFileSizeCommitLog: 4 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 6_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
};
const TOPIC = 'forms';
const LONG_GROUP = `g${'-long'.repeat(30)}`;
const RETRY = `%RETRY%${LONG_GROUP}`;
const DUE = 'SCHEDULE_TOPIC_XXXX';

let folder: string;
let root: string;
let nameserver: RunningServer;
let wire: TapWire;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-forms-'));
  root = path.join(folder, 'shared', 'store');
  // Brokers of today make no group of more than 120 letters; one that was made before stays.
  fs.mkdirSync(path.join(root, 'config'), { recursive: true });
  const table = { subscriptionGroupTable: { [LONG_GROUP]: newSubscriptionGroup(LONG_GROUP) } };
  const file = path.join(root, 'config', 'subscriptionGroup.json');
  fs.writeFileSync(file, JSON.stringify({ dataVersion: newDataVersion(1), ...table }));
  wire = new TapWire();
  const nsFolder = path.join(folder, 'ns');
  nameserver = await startNameserver({
    version: '5.5.0',
    folder: nsFolder,
    port: await freePort(),
  });
  cleanUp.push(() => nameserver.kill());
});
afterEach(async () => {
  wire.close();
  for (const step of cleanUp.splice(0).reverse()) await step();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function ours() {
  const broker = await spawnBroker(root, { ...KEYS, namesrvAddr: nameserver.address });
  cleanUp.push(() => broker.kill());
  return broker;
}

async function stock(): Promise<RunningServer> {
  const broker = await startBroker({
    version: '5.5.0',
    folder: path.join(folder, 'stock'),
    port: await freePort(true),
    namesrv: nameserver.address,
    properties: {
      ...KEYS,
      storePathRootDir: root,
      storePathCommitLog: path.join(root, 'commitlog'),
    },
  });
  cleanUp.push(() => broker.kill());
  return broker;
}

const text = (fields: object): Record<string, string> => fields as Record<string, string>;

async function send(at: string, topic: string, properties: Record<string, string>, body: string) {
  const ext = text(sendFields(topic, { properties }));
  const request = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from(body) };
  return (await wire.invoke(at, request)).code;
}

/** Each kind of append once: plain, with a stale checksum, a batch, delayed, and sent back. */
async function write(at: string, name: string, round: number): Promise<void> {
  expect(await send(at, TOPIC, { TAGS: 'a', KEYS: `${name}-1` }, `${name}-1`)).toBe(0);
  expect(await send(at, TOPIC, { [Property.CRC32]: '0000000001' }, `${name}-2`)).toBe(0);
  const batch = encodeBatch(
    [3, 4].map((n) => ({
      flag: 0,
      body: Buffer.from(`${name}-${n}`),
      properties: `KEYS\u0001k${n}\u0002`,
    })),
  );
  const ext = text(sendFields(TOPIC, { code: RequestCode.SEND_BATCH_MESSAGE }));
  await wire.call(at, { code: RequestCode.SEND_BATCH_MESSAGE, ext, body: batch });
  expect(await send(at, TOPIC, { DELAY: '1' }, `${name}-5`)).toBe(0);
  const [first] = await read(at, TOPIC);
  const back = { offset: first?.physicalOffset, group: LONG_GROUP, delayLevel: 1 };
  const fields = { ...back, originTopic: TOPIC, originMsgId: 'm', maxReconsumeTimes: 16 };
  const code = RequestCode.CONSUMER_SEND_MSG_BACK;
  await wire.call(at, { code, ext: text(Object.fromEntries(strings(fields))) });
  // Both wait a second in the first delay level.
  const isThere = async () =>
    (await read(at, TOPIC)).length === 5 * round && (await read(at, RETRY)).length === round;
  await until(isThere, 'the delayed ones', 20_000);
}

const strings = (fields: object) =>
  Object.entries(fields).map(([key, value]) => [key, String(value)]);

async function read(at: string, topic: string, queueId = 0) {
  const pulled = await wire.invoke(at, {
    code: RequestCode.PULL_MESSAGE,
    ext: text(pullFields(topic, 0, { queueId, maxMsgNums: 64, group: LONG_GROUP })),
  });
  return pulled.body === undefined ? [] : decodeRecords(pulled.body);
}

/** What a consumer gets to see of everything that was stored. */
async function served(at: string) {
  const all = [await read(at, TOPIC), await read(at, RETRY), await read(at, DUE, 0)];
  return all.map((records) =>
    records.map(({ topic, body, properties, magic, physicalOffset }) => ({
      ...{ topic, body: body.toString(), magic, physicalOffset },
      properties: Object.fromEntries(parseMessageProperties(properties)),
    })),
  );
}

test('records with a checksum of the whole, and of long retry topics, go both ways', async () => {
  const first = await ours();
  await write(first.address, 'ours', 1);
  const left = await served(first.address);
  expect(left.map((records) => records.length)).toEqual([5, 1, 2]);
  for (const { properties } of left.flat()) expect(properties['__CRC32#']).toMatch(/^\d{10}$/);
  await first.stop();

  const second = await stock();
  expect(await served(second.address)).toEqual(left);
  await write(second.address, 'stock', 2);
  const more = await served(second.address);
  await second.stop();

  const third = await ours();
  expect(await served(third.address)).toEqual(more);
  await third.stop();
  expect(more.flat().some(({ magic }) => magic === RECORD_MAGIC_V2)).toBe(true);

  // A letter of a key: no body checksum covers it.
  const log = path.join(root, 'commitlog', '0'.repeat(20));
  const bytes = fs.readFileSync(log);
  bytes[bytes.indexOf('stock-1')] = 'S'.charCodeAt(0);
  fs.writeFileSync(log, bytes);
  await expect(ours()).rejects.toThrow(/refused.*damaged record at offset/);
});
