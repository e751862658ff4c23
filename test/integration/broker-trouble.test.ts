// A broker in trouble: restarts, kills, broken frames, clients that never read, a region that closes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../core-broker/base/index.ts';
import { encodeRequest } from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  heartbeatBody,
  pullFields,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';
import { spawnBroker } from '../support/broker-process.ts';
import { rawConnection } from '../support/raw-connection.ts';

const sendFrame = (topic: string, body: string, opaque: number): Buffer =>
  encodeRequest(
    { code: 310, ext: sendFields(topic) as Record<string, string>, body: Buffer.from(body) },
    opaque,
  );

describe('restarts', () => {
  test('messages, offsets, topics and waiting delays survive a clean restart', async () => {
    const region = await startBroker({ messageDelayLevel: '1s 2s' });
    await region.send('kept', 'a');
    await region.send('kept', 'b');
    await region.send('kept_late', 'late', { properties: { DELAY: '1' } });
    await region.pull('kept', 1, { group: 'keepers', commitOffset: 1 });
    await region.restart();
    expect(bodiesOf(await region.pull('kept', 0))).toEqual(['a', 'b']);
    const stored = await region.call(14, { consumerGroup: 'keepers', topic: 'kept', queueId: 0 });
    expect(stored.ext['offset']).toBe('1');
    const late = await eventually(async () => {
      const bodies = bodiesOf(await region.pull('kept_late', 0));
      return bodies.length > 0 ? bodies : undefined;
    });
    expect(late).toEqual(['late']);
    await region.restart();
    const next = await region.send('kept', 'c');
    expect(next.ext['queueOffset']).toBe('2');
    expect(bodiesOf(await region.pull('kept_late', 0))).toEqual(['late']);
    await region.stop();
  });

  test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'] as const)(
    'every acknowledged message survives kill -9 with %s',
    async (flushDiskType) => {
      const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-kill-'));
      const client = new RemotingClient();
      const first = await spawnBroker(root, { flushDiskType });
      const acknowledged: string[] = [];
      const sending: Promise<void>[] = [];
      for (let lane = 0; lane < 4; lane++)
        sending.push(sendUntilDead(client, first.address, lane, acknowledged));
      await eventually(() => (acknowledged.length > 300 ? true : undefined));
      await first.kill();
      await Promise.all(sending);
      const second = await spawnBroker(root, { flushDiskType });
      const present = new Set<string>();
      for (let lane = 0; lane < 4; lane++) {
        for (const body of await everything(client, second.address, lane)) present.add(body);
      }
      expect(acknowledged.filter((body) => !present.has(body))).toEqual([]);
      client.close();
      await second.kill();
      fs.rmSync(root, { recursive: true, force: true });
    },
  );

  test('a second broker on the same store is refused, and the first goes on', async () => {
    const region = await startBroker();
    const second = spawnBroker(region.root);
    await expect(second).rejects.toThrow();
    expect((await region.send('alone', 'x')).code).toBe(0);
    await region.stop();
  });
});

async function sendUntilDead(
  client: RemotingClient,
  address: string,
  lane: number,
  acknowledged: string[],
): Promise<void> {
  const ext = sendFields('killed', { queueId: lane }) as Record<string, string>;
  for (let n = 0; ; n++) {
    const body = `${lane}-${n}`;
    try {
      const answer = await client.invoke(address, { code: 310, ext, body }, 20_000);
      if (answer.code === 0) acknowledged.push(body);
    } catch {
      // Expected: the broker was killed; the outcome of this one is unknown.
      return;
    }
  }
}

async function everything(
  client: RemotingClient,
  address: string,
  lane: number,
): Promise<string[]> {
  const bodies: string[] = [];
  for (let offset = 0; ; ) {
    const ext = pullFields('killed', offset, { queueId: lane }) as unknown as Record<
      string,
      string
    >;
    const answer = await client.invoke(address, { code: 11, ext }, 20_000);
    if (answer.code !== 0) return bodies;
    bodies.push(...bodiesOf(answer));
    offset = Number(answer.ext['nextBeginOffset']);
  }
}

describe('clients that misbehave', () => {
  let region: BrokerFixture;
  beforeAll(async () => {
    region = await startBroker();
    await region.send('healthy', 'x');
  });
  afterAll(async () => {
    await region.stop();
  });

  test('mutated frames get an answer or a closed connection, and nobody else notices', async () => {
    const random = seeded(20_260_101);
    const originals = [
      sendFrame('fuzz', 'body of a message', 1),
      encodeRequest(
        { code: 10, ext: sendFields('fuzz', { code: 10 }) as Record<string, string>, body: 'x' },
        2,
      ),
      encodeRequest(
        { code: 310, ext: sendFields('fuzz') as Record<string, string>, body: 'x' },
        3,
        { header: 'ROCKETMQ' },
      ),
      encodeRequest(
        {
          code: 320,
          ext: sendFields('fuzz', { code: 320 }) as Record<string, string>,
          body: Buffer.alloc(60, 1),
        },
        4,
      ),
      encodeRequest(
        { code: 11, ext: pullFields('healthy', 0) as unknown as Record<string, string> },
        5,
      ),
      encodeRequest({ code: 34, body: heartbeatBody('f', 'fuzzers', 'fuzz') }, 6),
      encodeRequest({ code: 36, ext: { offset: 0, group: 'fuzzers', delayLevel: 0 } }, 7),
      encodeRequest({ code: 41, body: '{"clientId":"c","consumerGroup":"g","mqSet":[]}' }, 8),
      encodeRequest({ code: 25, body: 'fileReservedTime=1\n' }, 9),
    ];
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 400; round++) {
      const frame = mutate(originals[round % originals.length] as Buffer, random);
      const peer = await rawConnection(region.broker.address);
      peer.write(frame);
      peer.write(encodeRequest({ code: 30, ext: { topic: 'healthy', queueId: 0 } }, 999));
      peer.socket.end();
      await peer.closed();
    }
    expect(bodiesOf(await region.pull('healthy', 0))).toEqual(['x']);
    expect((await region.send('healthy', 'y')).code).toBe(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  });

  test('a client that never reads costs bounded memory, and the others are served', async () => {
    for (let n = 0; n < 8; n++) await region.send('bulk', Buffer.alloc(200_000, n));
    const deaf = await rawConnection(region.broker.address);
    deaf.socket.pause();
    const pull = encodeRequest(
      { code: 11, ext: pullFields('bulk', 0) as unknown as Record<string, string> },
      1,
    );
    const before = process.memoryUsage().rss;
    const pump = async () => {
      for (let n = 0; n < 20_000 && !deaf.isClosed; n++) {
        if (!deaf.socket.write(pull)) {
          await new Promise((resolve) => {
            deaf.socket.once('drain', resolve);
            deaf.socket.once('close', resolve);
            setTimeout(resolve, 200);
          });
        }
      }
    };
    const pumping = pump();
    for (let n = 0; n < 50; n++) expect((await region.send('healthy', `${n}`)).code).toBe(0);
    deaf.close();
    await pumping;
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    expect((await region.pull('healthy', 0)).code).toBe(0);
  });

  test('a frame that claims 16 MiB and more is refused by closing', async () => {
    const peer = await rawConnection(region.broker.address);
    const prefix = Buffer.alloc(8);
    prefix.writeInt32BE(0x7fffffff, 0);
    peer.write(prefix);
    await peer.closed();
    expect((await region.send('healthy', 'z')).code).toBe(0);
  });
});

describe('a broker that may not write', () => {
  test('a closed guard stops sends, send-backs and delays; reads go on', async () => {
    const region = await startBroker(
      { messageDelayLevel: '1s' },
      { dr: standbyOptions('standby') },
    );
    const codes: number[] = [];
    codes.push((await region.send('TBW102', 'x')).code);
    codes.push((await region.call(36, { offset: 0, group: 'TOOLS_CONSUMER', delayLevel: 0 })).code);
    codes.push((await region.call(17, topicFields())).code);
    expect(codes).toEqual([16, 16, 16]);
    expect(region.broker.store.storeBounds().maxOffset).toBe(0);
    const query = { consumerGroup: 'g', topic: 'TBW102', queueId: 0 };
    expect((await region.call(14, query)).code).toBe(0);
    expect((await region.call(15, { ...query, commitOffset: 1 })).code).toBe(16);
    expect((await region.call(34, {}, heartbeatBody('c', 'new_group', 'T'))).code).toBe(0);
    expect((await region.call(352, { group: 'new_group' })).code).toBe(26);
    await region.stop();
  });

  test('a group that consumes at the standby commits there, the others do not', async () => {
    const region = await startBroker(
      {},
      { dr: { ...standbyOptions('standby'), standbyGroups: ['near'] } },
    );
    const commit = (consumerGroup: string) =>
      region.call(15, { consumerGroup, topic: 'TBW102', queueId: 0, commitOffset: 7 });
    expect((await commit('near')).code).toBe(0);
    expect((await commit('far')).code).toBe(16);
    const query = { consumerGroup: 'near', topic: 'TBW102', queueId: 0 };
    expect((await region.call(14, query)).ext['offset']).toBe('7');
    const mirrored = await region.call(43);
    expect(mirrored.body?.toString()).not.toContain('near');
    await region.restart();
    expect((await region.call(14, query)).ext['offset']).toBe('7');
    await region.stop();
  });

  test('a plain broker writes the same send', async () => {
    const region = await startBroker();
    await region.send('plain', 'x');
    expect(region.broker.store.storeBounds().maxOffset).toBeGreaterThan(0);
    await region.stop();
  });
});

const topicFields = () => ({
  topic: 'new_topic',
  defaultTopic: 'TBW102',
  readQueueNums: 1,
  writeQueueNums: 1,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
});

function standbyOptions(role: 'active' | 'standby') {
  return {
    region: 'B',
    initialRole: role,
    secret: new Secret('test-secret'),
    regions: { B: { nameservers: [], brokers: {} } },
    globalNameservers: [],
    standbyGroups: [],
    leaseMs: 0,
    haAllow: [],
  };
}

/** Small deterministic generator (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A few changed bytes, a cut, a lying length or doubled parts. */
function mutate(frame: Buffer, random: () => number): Buffer {
  const copy = Buffer.from(frame);
  const kind = Math.floor(random() * 5);
  const at = Math.floor(random() * copy.length);
  if (kind === 0) return copy.subarray(0, at);
  if (kind === 1) copy.writeInt32BE(Math.floor(random() * 2 ** 31), 0);
  if (kind === 2) copy.writeInt32BE(Math.floor(random() * 2 ** 31), 4);
  if (kind === 3) return Buffer.concat([copy.subarray(0, at), copy.subarray(at / 2)]);
  for (let n = 0; n < 8; n++) copy[8 + Math.floor(random() * (copy.length - 8))] = random() * 256;
  return copy;
}
