// Timer messages when things go wrong: kill -9 at any moment, a second in which very many are due, a
// change of the active side. Nothing is lost; with the index on nothing comes twice.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backupConfigSchema } from '../../backup/index.ts';
import {
  DR_CODE,
  decodeRecords,
  formatMessageProperties,
  RequestCode,
  type SealedTailToken,
  TIMER_TOPIC,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { eventually, pullFields, SMALL_STORE, sendFields } from '../support/broker-fixture.ts';
import { type BrokerProcess, spawnBroker } from '../support/broker-process.ts';
import { RegionPair } from '../support/region-pair.ts';

let root: string;
let broker: BrokerProcess;
const client = new RemotingClient();

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-timers-'));
});
afterEach(async () => {
  await broker?.kill();
  fs.rmSync(root, { recursive: true, force: true });
});

const call = (code: number, ext: object, body?: Buffer) =>
  client.invoke(
    broker.address,
    { code, ext: ext as Record<string, string>, ...(body ? { body } : {}) },
    20_000,
  );

const park = async (key: string, properties: Record<string, string>) => {
  const ext = sendFields('T', { properties: { ...properties, UNIQ_KEY: key } });
  const answer = await call(RequestCode.SEND_MESSAGE_V2, ext, Buffer.from(key));
  expect(answer.code).toBe(0);
};

/** Bodies of all messages of a queue. */
async function bodies(topic: string): Promise<string[]> {
  const found: string[] = [];
  for (let offset = 0; ; ) {
    const answer = await call(RequestCode.PULL_MESSAGE, pullFields(topic, offset));
    const records = answer.body ? decodeRecords(answer.body) : [];
    if (records.length === 0) return found;
    found.push(...records.map((record) => record.body.toString()));
    offset = Number(answer.ext['nextBeginOffset']);
  }
}

test('kill -9 again and again: each message is delivered exactly once', async () => {
  const values = { ...SMALL_STORE, timerFlushIntervalMs: 200 };
  broker = await spawnBroker(root, values);
  const deliverMs = Date.now() + 4_000;
  const keys = Array.from({ length: 300 }, (_, n) => `K${n}`);
  for (const [n, key] of keys.entries()) {
    await park(key, { TIMER_DELIVER_MS: String(deliverMs + (n % 6) * 700) });
  }
  for (let kills = 0; kills < 6; kills++) {
    // Some deliveries more than before: the kill falls into the work, not beside it.
    const before = (await bodies('T')).length;
    await eventually(async () => {
      const now = (await bodies('T')).length;
      return now > before || now === keys.length ? true : undefined;
    });
    await broker.kill();
    broker = await spawnBroker(root, values);
  }
  const delivered = await eventually(async () => {
    const found = await bodies('T');
    return found.length >= keys.length ? found : undefined;
  });
  expect([...delivered].sort()).toEqual([...keys].sort());
});

test('a restored backup delivers what waits and nothing that was delivered', async () => {
  broker = await spawnBroker(root, SMALL_STORE);
  const restored = `${root}-restored`;
  const repository = { kind: 'file', path: `${root}-repository` };
  try {
    await park('before', { TIMER_DELAY_MS: '1000' });
    await park('waits', { TIMER_DELAY_MS: '8000' });
    await eventually(async () => ((await bodies('T')).length > 0 ? true : undefined));
    await broker.stop();
    const config = backupConfigSchema.parse({ repository, storeId: 'timers' });
    const backup = await initBackup({ config });
    const { id } = await backup.run({ rootDir: root });
    await backup.restore({ id, target: restored });
    expect(fs.existsSync(path.join(restored, 'timerwheel'))).toBe(false);
    broker = await spawnBroker(restored, SMALL_STORE);
    await eventually(async () => ((await bodies('T')).includes('waits') ? true : undefined));
    expect(await bodies('T')).toEqual(['before', 'waits']);
  } finally {
    await broker.kill();
    for (const folder of [restored, repository.path]) {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
});

test('sends go on while twenty thousand messages of one second are delivered', async () => {
  broker = await spawnBroker(root);
  const count = 20_000;
  const sendAll = async (topic: string, to: number, properties: Record<string, string>) => {
    for (let n = 0; n < to; n += 500) {
      const batch = Array.from({ length: 500 }, (_, i) => {
        const ext = sendFields(topic, { properties: { ...properties, UNIQ_KEY: `F${n + i}` } });
        return call(RequestCode.SEND_MESSAGE_V2, ext, Buffer.from('x'));
      });
      for (const answer of await Promise.all(batch)) expect(answer.code).toBe(0);
    }
  };
  // Due when all are parked for sure: a machine tells how long it takes for a part of them.
  const startedMs = performance.now();
  await sendAll('measured', count / 10, {});
  const dueMs = Date.now() + 2_000 + 25 * (performance.now() - startedMs);
  await sendAll('T', count, { TIMER_DELIVER_MS: String(Math.ceil(dueMs / 1_000) * 1_000) });
  const max = async (topic: string) => {
    const answer = await call(RequestCode.GET_MAX_OFFSET, { topic, queueId: 0 });
    return Number(answer.ext['offset']);
  };
  expect(await max(TIMER_TOPIC)).toBe(count);
  await eventually(async () => ((await max('T')) > 0 ? true : undefined));
  let between = 0;
  while ((await max('T')) < count) {
    const answer = await call(RequestCode.SEND_MESSAGE_V2, sendFields('plain'), Buffer.from('p'));
    expect(answer.code).toBe(0);
    between++;
  }
  // Each send was answered within one of some 150 turns, not behind the flood.
  expect(between).toBeGreaterThan(20);
});

test('a promoted standby delivers what waits, and nothing that was delivered before', async () => {
  const pair = await RegionPair.start({ values: { messageIndexEnable: true } });
  try {
    const timer = (key: string, delayMs: number) =>
      pair.send(pair.east.address, key, {
        topic: 'T',
        properties: formatMessageProperties([
          ['TIMER_DELAY_MS', String(delayMs)],
          ['UNIQ_KEY', key],
        ]),
      });
    const at = (name: 'east' | 'west') => {
      const { store } = pair[name].broker ?? {};
      const queue = { topic: 'T', queueId: 0 };
      const pulled = store?.pull(queue, 0, {
        messagesMax: 100,
        bytesMax: 1 << 20,
        tagCodes: undefined,
      });
      return decodeRecords(Buffer.concat(pulled?.chunks ?? [])).map((r) => r.body.toString());
    };
    for (const key of ['a', 'b', 'c']) expect((await timer(key, 1_500)).code).toBe(0);
    for (const key of ['w1', 'w2']) expect((await timer(key, 6_000)).code).toBe(0);
    await eventually(() => (at('east').length >= 3 ? true : undefined));
    const op = { opId: 'op-timer' };
    await pair.west.link?.attach();
    await pair.ask('east', DR_CODE.FENCE, { ...op, deadlineMs: 60_000 });
    const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, op);
    const sealed = at('east');
    await pair.west.link?.copyTo(token.logEnd);
    await pair.ask('west', DR_CODE.LINK_HALT, op);
    await pair.ask('west', DR_CODE.FINAL_SYNC, op);
    const body = { ...op, fromEpoch: 1, token, forced: false };
    expect(await pair.ask('west', DR_CODE.PROMOTE, body)).toMatchObject({ epoch: 2 });
    await eventually(() => (at('west').length >= 5 ? true : undefined));
    expect(at('west').sort()).toEqual(['a', 'b', 'c', 'w1', 'w2']);
    expect(sealed).toEqual(expect.arrayContaining(['a', 'b', 'c']));
    expect(at('east')).toEqual(sealed);
  } finally {
    await pair.stop();
  }
});
