// The client library against a real name server and a real broker: what is sent is consumed, once per
// group, in order where asked, and again after a failure.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DrError, Secret } from '../../core-broker/base/index.ts';
import {
  createDrClient,
  Producer,
  PullConsumer,
  PushConsumer,
  type PushConsumerOptions,
  type ReceivedMessage,
  remoteCode,
} from '../../core-broker/client/index.ts';
import { DR_CODE } from '../../core-broker/protocol/index.ts';
import { ClientRegion } from '../support/client-region.ts';
import { until } from '../support/until.ts';

let region: ClientRegion;
let producer: Producer;
const consumers: PushConsumer[] = [];

beforeAll(async () => {
  region = await ClientRegion.start();
  producer = new Producer({ nameservers: region.nameservers, group: 'producers' });
  producer.start();
});

afterEach(async () => {
  for (const consumer of consumers.splice(0)) await consumer.stop();
});

afterAll(async () => {
  await producer.stop();
  await region.stop();
});

const texts = (messages: ReceivedMessage[]) => messages.map((message) => message.body.toString());

/** A started consumer that keeps what it got. */
function consume(
  options: Omit<PushConsumerOptions, 'nameservers' | 'onMessage'> & {
    onMessage?: PushConsumerOptions['onMessage'];
  },
) {
  const got: ReceivedMessage[] = [];
  const consumer = new PushConsumer({
    nameservers: region.nameservers,
    from: 'first',
    rebalanceMs: 500,
    commitMs: 200,
    suspendMs: 1_000,
    retryPauseMs: 50,
    onMessage: (message) => {
      got.push(message);
      return true;
    },
    ...options,
  });
  consumers.push(consumer);
  consumer.start();
  return { got, consumer };
}

async function sendAll(topic: string, count: number, more: object = {}): Promise<string[]> {
  const bodies = Array.from({ length: count }, (_, i) => `${topic}-${i}`);
  for (const body of bodies) await producer.send({ topic, body, ...more });
  return bodies;
}

describe('producer', () => {
  test('a receipt names queue, offset, both ids and the broker', async () => {
    const topic = await region.topic('receipts', 2);
    const receipt = await producer.send({ topic, body: 'x', queue: { queueId: 1 }, keys: 'k' });
    expect(receipt).toMatchObject({
      status: 'SEND_OK',
      queue: { topic, brokerName: 'broker-a', queueId: 1 },
      queueOffset: 0,
      address: region.address,
      attempts: 1,
    });
    expect(receipt.msgId).toMatch(/^[0-9A-F]{32}$/);
    expect(receipt.offsetMsgId).toMatch(/^[0-9A-F]{32}$/);
  });

  test('sends go round all queues', async () => {
    const topic = await region.topic('rounds', 4);
    const receipts = [];
    for (let i = 0; i < 8; i++) receipts.push(await producer.send({ topic, body: 'x' }));
    expect(new Set(receipts.map((receipt) => receipt.queue.queueId)).size).toBe(4);
  });

  test('a topic that does not exist is created over the default topic', async () => {
    const receipt = await producer.send({ topic: 'made-by-send', body: 'x' });
    expect(receipt.status).toBe('SEND_OK');
  });

  test('a message that is too large is refused once and not retried', async () => {
    const topic = await region.topic('large', 1);
    const body = Buffer.alloc(5 * 1024 * 1024);
    const reason = await producer.send({ topic, body }).catch((failure: unknown) => failure);
    expect(remoteCode(reason)).toBe(13);
  });

  test('nobody there ends as an error that says so, inside the budget', async () => {
    const lonely = new Producer({
      nameservers: ['127.0.0.1:1'],
      group: 'g',
      sendTimeoutMs: 1_000,
    });
    const reason = await lonely
      .send({ topic: 't', body: 'x' })
      .catch((failure: unknown) => failure);
    expect(DrError.is(reason, 'NETWORK', 'TIMEOUT')).toBe(true);
    await lonely.stop();
  });
});

describe('consumer', () => {
  test('everything arrives once, with tags, keys and properties', async () => {
    const topic = await region.topic('plain');
    const bodies = await sendAll(topic, 40, {
      tags: 'A',
      keys: 'k1',
      properties: { color: 'red' },
    });
    const { got } = consume({ group: 'plain-group', topics: { [topic]: '*' } });
    await until(() => got.length >= 40, 'all');
    expect(texts(got).sort()).toEqual(bodies.sort());
    expect(got[0]).toMatchObject({ topic, tags: 'A', keys: 'k1', brokerName: 'broker-a' });
    expect(got[0]?.properties['color']).toBe('red');
  });

  test('only wanted tags arrive, also when hashes collide', async () => {
    const topic = await region.topic('tags');
    // "Aa" and "BB" have one Java hash: the broker cannot tell them apart.
    for (const tags of ['Aa', 'BB', 'C']) await producer.send({ topic, body: tags, tags });
    const { got } = consume({ group: 'tag-group', topics: { [topic]: 'Aa || C' } });
    await until(() => got.length >= 2, 'two');
    expect(texts(got).sort()).toEqual(['Aa', 'C']);
  });

  test('two members share the queues and take over when one leaves', async () => {
    const topic = await region.topic('shared', 4);
    const first = consume({ group: 'share-group', topics: { [topic]: '*' } });
    const second = consume({ group: 'share-group', topics: { [topic]: '*' } });
    const size = (of: PushConsumer) => of.assignment().filter((q) => q.topic === topic).length;
    await until(() => size(first.consumer) === 2 && size(second.consumer) === 2, 'two and two');
    const bodies = await sendAll(topic, 20);
    await until(() => first.got.length + second.got.length >= 20, 'all');
    expect(first.got.length).toBe(10);
    consumers.splice(consumers.indexOf(first.consumer), 1);
    await first.consumer.stop();
    await until(() => size(second.consumer) === 4, 'all four');
    const more = await sendAll(topic, 20);
    await until(() => first.got.length + second.got.length >= 40, 'all again');
    const all = [...texts(first.got), ...texts(second.got)].sort();
    expect(all).toEqual([...bodies, ...more].sort());
  });

  test('a restarted group goes on where it stood', async () => {
    const topic = await region.topic('restart');
    await sendAll(topic, 10);
    const first = consume({ group: 'restart-group', topics: { [topic]: '*' } });
    await until(() => first.got.length === 10, 'ten');
    consumers.splice(0);
    await first.consumer.stop();
    await producer.send({ topic, body: 'after' });
    const second = consume({ group: 'restart-group', topics: { [topic]: '*' } });
    await until(() => second.got.length >= 1, 'the new one');
    expect(texts(second.got)).toEqual(['after']);
  });

  test('a message that failed comes again through the retry topic, under its own name', async () => {
    const topic = await region.topic('retry', 1);
    const seen: ReceivedMessage[] = [];
    consume({
      group: 'retry-group',
      topics: { [topic]: '*' },
      onMessage: (message) => {
        seen.push(message);
        if (message.reconsumeTimes === 0 && message.body.toString() === 'bad')
          throw new Error('no');
        return true;
      },
    });
    await producer.send({ topic, body: 'bad' });
    await producer.send({ topic, body: 'good' });
    await until(() => seen.length >= 3, 'a second try');
    const again = seen.find((message) => message.reconsumeTimes === 1);
    expect(again).toMatchObject({ topic });
    expect(again?.body.toString()).toBe('bad');
  });

  test('orderly: each queue in order, a failing message holds its queue and nothing else', async () => {
    const topic = await region.topic('orderly', 2);
    let failures = 3;
    const seen: string[] = [];
    const { consumer } = consume({
      group: 'order-group',
      topics: { [topic]: '*' },
      mode: 'orderly',
      onMessage: (message) => {
        const text = message.body.toString();
        if (text === 'q0-5' && failures-- > 0) return false;
        seen.push(text);
        return true;
      },
    });
    for (let i = 0; i < 20; i++) {
      for (const queueId of [0, 1]) {
        await producer.send({ topic, body: `q${queueId}-${i}`, queue: { queueId } });
      }
    }
    await until(() => seen.length >= 40, 'all');
    for (const queueId of [0, 1]) {
      const own = seen.filter((text) => text.startsWith(`q${queueId}`));
      expect(own).toEqual(Array.from({ length: 20 }, (_, i) => `q${queueId}-${i}`));
    }
    expect(failures).toBe(-1);
    expect(consumer.assignment().length).toBeGreaterThan(0);
  });

  test('broadcast: everybody gets everything and remembers in a file', async () => {
    const topic = await region.topic('broadcast', 2);
    const offsetsFile = path.join(region.root, 'broadcast.json');
    const options = { group: 'cast', topics: { [topic]: '*' }, model: 'BROADCASTING' as const };
    const first = consume({ ...options, offsetsFile });
    const second = consume(options);
    await sendAll(topic, 10);
    await until(() => first.got.length === 10 && second.got.length === 10, 'both have all');
    consumers.splice(consumers.indexOf(first.consumer), 1);
    await first.consumer.stop();
    expect(Object.values(JSON.parse(fs.readFileSync(offsetsFile, 'utf8')))).toEqual([5, 5]);
    await producer.send({ topic, body: 'later' });
    const again = consume({ ...options, offsetsFile });
    await until(() => again.got.length > 0, 'later');
    expect(texts(again.got)).toEqual(['later']);
  });

  test('a broker that restarts is consumed on without a loss', async () => {
    const topic = await region.topic('broker-restart', 2);
    const { got } = consume({ group: 'survivors', topics: { [topic]: '*' }, routePollMs: 200 });
    const bodies = await sendAll(topic, 10);
    await until(() => got.length >= 10, 'first ten');
    await region.down();
    await region.up();
    await until(async () => {
      const sent = await producer.send({ topic, body: 'after' }).catch(() => undefined);
      return sent !== undefined;
    }, 'sends work again');
    await until(() => texts(got).includes('after'), 'consumed on');
    for (const body of bodies) expect(texts(got)).toContain(body);
  });
});

describe('tools', () => {
  test('a pull consumer sees bounds, times, offsets and every message', async () => {
    const topic = await region.topic('pulled', 1);
    const bodies = await sendAll(topic, 5);
    const reader = new PullConsumer({ nameservers: region.nameservers, group: 'reader' });
    const [queue] = await reader.queues(topic);
    if (queue === undefined) throw new Error('no queue');
    expect(await reader.bound(queue, 'min')).toBe(0);
    await until(async () => (await reader.bound(queue, 'max')) === 5, 'dispatched');
    const answer = await reader.pull(queue, 0);
    expect(texts(answer.messages)).toEqual(bodies);
    expect(answer).toMatchObject({ outcome: 'found', next: 5, max: 5 });
    expect((await reader.pull(queue, 5)).outcome).toBe('empty');
    expect(await reader.pull(queue, 99)).toMatchObject({ outcome: 'moved', next: 5 });
    expect(await reader.offsetByTime(queue, 0)).toBe(0);
    await reader.commit(queue, 3);
    expect(await reader.offset(queue)).toBe(3);
    reader.stop();
  });

  test('admin calls read what an operator asks for', async () => {
    const topic = await region.topic('administered', 3);
    const { admin, address } = region;
    const receipt = await producer.send({ topic, body: 'seen', queue: { queueId: 2 } });
    await admin.createGroup(address, 'administered-group', { retryMaxTimes: 3 });
    expect(
      (await admin.groupTable(address)).subscriptionGroupTable['administered-group'],
    ).toMatchObject({ retryMaxTimes: 3 });
    expect((await admin.route(topic)).queueDatas[0]?.writeQueueNums).toBe(3);
    expect((await admin.clusterInfo()).clusterAddrTable['TestCluster']).toEqual(['broker-a']);
    expect(await admin.topicList()).toContain(topic);
    await until(async () => {
      const stats = await admin.topicStats(address, topic);
      return stats.some((row) => row.queueId === 2 && row.maxOffset === 1);
    }, 'stats');
    const info = await admin.runtimeInfo(address);
    expect(Number(info['commitLogMaxOffset'])).toBeGreaterThan(0);
    expect((await admin.brokerConfig(address))['brokerName']).toBe('broker-a');
    expect((await admin.delayOffsets(address)).offsetTable).toBeDefined();
    const offset = Number.parseInt(receipt.offsetMsgId.slice(16), 16);
    const record = await admin.viewRecord(address, offset);
    expect(record.includes('seen')).toBe(true);
    const reason = await admin.viewRecord(address, offset + 1).catch((failure: unknown) => failure);
    expect(DrError.is(reason, 'NOT_FOUND')).toBe(true);
  });

  test('control requests to a plain broker are an error that carries the code', async () => {
    const dr = createDrClient({ secret: new Secret('x') });
    const reason = await dr
      .control(region.address, { code: DR_CODE.STATUS, body: {} })
      .catch((failure: unknown) => failure);
    expect(remoteCode(reason)).toBe(3);
    dr.close();
  });
});
