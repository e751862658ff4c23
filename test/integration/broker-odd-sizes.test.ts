// Messages at the edges of what RocketMQ allows, over real sockets: bodies and properties of exactly the
// limit and one byte more, long topic names, empty bodies, batches, many large bodies at once, and
// records that leave any number of bytes between nothing and an end marker in their log file.
import * as fs from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../core-broker/base/index.ts';
import { encodeBatch, parseMessageProperties } from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  recordsOf,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const ILLEGAL = 13;
const MIB = 1024 * 1024;
let region: BrokerFixture;
afterEach(() => region?.stop());

const LARGE = { mappedFileSizeCommitLog: 64 * MIB };

describe('bodies', () => {
  test('4 MiB on each of 16 connections at once: all answered, retried when busy, none lost', async () => {
    // Patient: on a machine that does other things 128 MiB take their time.
    region = await startBroker({ ...LARGE, syncFlushTimeout: 100_000 });
    const { address } = region.broker;
    const sendOn = async (client: RemotingClient, n: number): Promise<number> => {
      const body = Buffer.alloc(4 * MIB, n);
      const ext = sendFields('large', { queueId: n % 4 }) as Record<string, string>;
      for (let busy = 0; ; busy++) {
        const answer = await client.invoke(address, { code: 310, ext, body }, 100_000);
        if (answer.code === 0) return busy;
        expect(answer.code, answer.remark).toBe(2);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const clients = Array.from({ length: 16 }, () => new RemotingClient());
    try {
      // Two in flight on each connection: four times what may be unwritten.
      await Promise.all(clients.flatMap((each, n) => [sendOn(each, n), sendOn(each, n + 16)]));
    } finally {
      for (const each of clients) each.close();
    }
    const seen: number[] = [];
    for (let queueId = 0; queueId < 4; queueId++) {
      for (let offset = 0; offset < 8; offset++) {
        const [record] = recordsOf(await region.pull('large', offset, { queueId, maxMsgNums: 1 }));
        expect(record?.body.length).toBe(4 * MIB);
        expect(record?.body.equals(Buffer.alloc(4 * MIB, record.body[0]))).toBe(true);
        seen.push(record?.body[0] ?? -1);
      }
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, n) => n));
  });

  test.each([10, 310])(
    'code %i: exactly maxMessageSize goes in, one byte more is 13',
    async (code) => {
      region = await startBroker({ ...LARGE, maxMessageSize: 100_000 });
      expect((await region.send('size', Buffer.alloc(100_000, 7), { code })).code).toBe(0);
      const answer = await region.send('size', Buffer.alloc(100_001), { code });
      expect(answer.code).toBe(ILLEGAL);
      expect((await region.send('size', 'next', { code })).ext['queueOffset']).toBe('1');
      const [first] = recordsOf(await region.pull('size', 0, { maxMsgNums: 1 }));
      expect(first?.body.equals(Buffer.alloc(100_000, 7))).toBe(true);
    },
  );

  test('a batch of exactly maxMessageSize goes in whole, one byte more not at all', async () => {
    region = await startBroker({ ...LARGE, maxMessageSize: 100_000 });
    const batchOf = (bytes: number) => {
      const first = { flag: 0, body: Buffer.alloc(1_000, 1), properties: '' };
      const rest = bytes - encodeBatch([first, { ...first, body: Buffer.alloc(0) }]).length;
      return encodeBatch([first, { ...first, body: Buffer.alloc(rest, 2) }]);
    };
    const ext = sendFields('batch', { code: 320 });
    expect(batchOf(100_000).length).toBe(100_000);
    expect((await region.call(320, ext, batchOf(100_001))).code).toBe(ILLEGAL);
    expect((await region.call(320, ext, batchOf(100_000))).code).toBe(0);
    const found = await region.pull('batch', 0);
    expect(recordsOf(found).map(({ queueOffset }) => queueOffset)).toEqual([0, 1]);
  });
});

describe('properties', () => {
  /** The largest value of X that is stored, found by the answers. */
  const withValue = (length: number) =>
    region.send('p', 'x', { properties: { X: 'v'.repeat(length) } });

  test('up to 32,767 stored bytes go in, more is 13, and nothing of it is kept', async () => {
    region = await startBroker(LARGE);
    expect((await withValue(31_000)).code).toBe(0);
    const stored = recordsOf(await region.pull('p', 0))[0]?.properties ?? '';
    // What the broker adds counts too.
    const more = LIMITS.propertiesBytesMax - Buffer.byteLength(stored);
    const codes = await Promise.all(
      [more, more + 1, more + 1_000, more + 40_000].map(
        async (add) => (await withValue(31_000 + add)).code,
      ),
    );
    expect(codes).toEqual([0, ILLEGAL, ILLEGAL, ILLEGAL]);
    const records = recordsOf(await region.pull('p', 0));
    expect(records.map(({ queueOffset }) => queueOffset)).toEqual([0, 1]);
  });
});

test('properties that their header escapes, six bytes for one, have the same limit', async () => {
  region = await startBroker(LARGE);
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
  for (const code of [10, 310]) {
    expect((await region.send('many', 'x', { code, properties: many(3_500) })).code).toBe(0);
    expect((await region.send('many', 'x', { code, properties: many(4_500) })).code).toBe(ILLEGAL);
  }
  const [stored] = recordsOf(await region.pull('many', 0));
  expect(parseMessageProperties(stored?.properties ?? '').get('k3499')).toBe('v');
});

test('level 0 and -1, as dead letters have them, are none for batches and half messages', async () => {
  region = await startBroker(LARGE);
  const codes = await Promise.all(
    ['0', '-1', '1'].map(async (level) => {
      const inner = { flag: 0, body: Buffer.from('m'), properties: `DELAY\x01${level}\x02` };
      const batch = await region.send('levels', encodeBatch([inner]), { code: 320 });
      const properties = { TRAN_MSG: 'true', PGROUP: 'g', UNIQ_KEY: level, DELAY: level };
      const half = await region.send('levels', 'h', { properties, ext: { sysFlag: 4, f: 4 } });
      return [batch.code, half.code];
    }),
  );
  expect(codes).toEqual([
    [0, 0],
    [0, 0],
    [ILLEGAL, ILLEGAL],
  ]);
});

describe('topic names', () => {
  test('127 bytes go in, 128 and 255 are refused, over both headers', async () => {
    region = await startBroker(LARGE);
    for (const code of [10, 310]) {
      expect((await region.send('t'.repeat(127), 'x', { code })).code).toBe(0);
      for (const length of [128, 255, 256]) {
        expect((await region.send('t'.repeat(length), 'x', { code })).code).not.toBe(0);
      }
    }
    expect(bodiesOf(await region.pull('t'.repeat(127), 0))).toEqual(['x', 'x']);
    expect([...region.broker.store.topicNames()].filter((name) => name.length > 127)).toEqual([]);
  });

  test('a retry topic may have 255: its records are of the second version, and survive', async () => {
    region = await startBroker(LARGE);
    const topic = `%RETRY%${'g'.repeat(248)}`;
    const group = { groupName: 'g'.repeat(248), consumeEnable: true };
    // As in a store of a stock broker whose group file was written by hand: no request makes such a group.
    const file = `${region.root}/config/subscriptionGroup.json`;
    await region.broker.stop();
    const table = JSON.parse(fs.readFileSync(file, 'utf8'));
    table.subscriptionGroupTable[group.groupName] = group;
    fs.writeFileSync(file, JSON.stringify(table));
    await region.restart();
    const sent = await region.send(topic, 'long', { ext: { j: 0 } });
    expect([sent.code, sent.remark]).toEqual([0, undefined]);
    await region.send('plain', 'short');
    await region.restart();
    expect(bodiesOf(await region.pull(topic, 0, { group: group.groupName }))).toEqual(['long']);
    expect(bodiesOf(await region.pull('plain', 0))).toEqual(['short']);
    expect((await region.send(topic, 'again')).ext['queueOffset']).toBe('1');
    expect((await region.send(`${topic}g`, 'too long')).code).not.toBe(0);
  });
});

test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'] as const)(
  '%s: records that leave room for an end marker and 0 to 8 bytes, or for none',
  async (flushDiskType) => {
    const FILE = 4_096;
    const MARKER = 8;
    const root = tempFolder();
    const options = smallStoreOptions(root, { flushDiskType, mappedFileSizeCommitLog: FILE });
    let store = await openStore(options);
    const overhead = store.append(recordSource(store, { body: 'x' })).sizeBytes - 1;
    const append = (sizeBytes: number, fill: number): number =>
      store.append(recordSource(store, { body: Buffer.alloc(sizeBytes - overhead, fill) }))
        .physicalOffset;
    const places: number[] = [];
    for (let left = 0; left <= 2 * MARKER; left++) {
      // Takes a whole file for itself, so that each case begins a new one.
      append(FILE - MARKER, 1);
      const first = append(500, 2);
      const second = append(FILE - 500 - left, 3);
      const isSameFile = second === first + 500;
      expect(isSameFile, `left ${left}`).toBe(left >= MARKER);
      places.push(first, second);
      await store.flush();
    }
    await store.close();
    store = await openStore(options);
    const count = 1 + 3 * (2 * MARKER + 1);
    expect(store.bounds({ topic: 'orders', queueId: 0 })).toEqual({ min: 0, max: count });
    for (const offset of places) expect(store.readRecord(offset).length).toBeGreaterThan(overhead);
    await store.close();
    fs.rmSync(root, { recursive: true });
  },
);

test('an empty body is stored as one, over every road', async () => {
  region = await startBroker(LARGE);
  for (const code of [10, 310]) {
    expect((await region.send('empty', '', { code })).code).toBe(0);
    expect((await region.send('empty', 'x', { code })).code).toBe(0);
  }
  // Like the send right before it: the road of known sends.
  for (const body of ['a', '', 'b']) {
    const answer = await region.send('empty', body, { properties: { UNIQ_KEY: 'K' } });
    expect(answer.code).toBe(0);
  }
  const expected = ['', 'x', '', 'x', 'a', '', 'b'];
  expect(bodiesOf(await region.pull('empty', 0))).toEqual(expected);
  await region.restart();
  expect(bodiesOf(await region.pull('empty', 0))).toEqual(expected);
});
