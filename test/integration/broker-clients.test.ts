// Consumers as a broker sees them: membership, offsets, locks, retries, dead letters, delays, relays.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPeerClient } from '../../core-broker/client/index.ts';
import {
  parseJson,
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  heartbeatBody,
  recordsOf,
  startBroker,
} from '../support/broker-fixture.ts';

let region: BrokerFixture;

beforeAll(async () => {
  region = await startBroker({
    messageDelayLevel: '1s 1s 1s 1s 1s 2h',
    defaultTopicQueueNums: 8,
  });
});
afterAll(async () => {
  await region.stop();
});

/** Java's JSON, queues as keys included. */
const json = (answer: RemotingCommand) =>
  JSON.parse(JSON.stringify(parseJson(answer.body?.toString() ?? '{}')));

describe('membership', () => {
  test('members see each other, and a member that leaves is announced with code 40', async () => {
    const first = createPeerClient();
    const second = new RemotingClient();
    const pushes: string[] = [];
    first.onRequest((_, request) => {
      if (request.code === 40) pushes.push(request.ext['consumerGroup'] ?? '');
      return undefined;
    });
    const beat = (id: string) => ({ code: 34, body: heartbeatBody(id, 'members', 'm_topic') });
    await first.call(region.broker.address, beat('one'), 20_000);
    await second.invoke(region.broker.address, beat('two'), 20_000);
    const ids = async () => {
      const answer = await region.call(38, { consumerGroup: 'members' });
      return (json(answer).consumerIdList as string[]).sort();
    };
    expect(await ids()).toEqual(['one', 'two']);
    const before = pushes.length;
    second.close();
    await eventually(async () => ((await ids()).length === 1 ? true : undefined));
    await eventually(() => (pushes.length > before ? true : undefined));
    expect(pushes.every((group) => group === 'members')).toBe(true);
    await first.call(
      region.broker.address,
      { code: 35, ext: { clientID: 'one', consumerGroup: 'members' } },
      5_000,
    );
    expect((await region.call(38, { consumerGroup: 'members' })).code).toBe(1);
    first.close();
  });

  test('producers are listed with their addresses as Java writes them, and their last heartbeat', async () => {
    const beforeMs = Date.now();
    await region.call(34, {}, heartbeatBody('sender', 'p', 'p_topic'));
    const afterMs = Date.now();
    const { data } = json(await region.call(328));
    const rows = data.test_producer as { clientId: string; lastUpdateTimestamp: number }[];
    const row = rows.find(({ clientId }) => clientId === 'sender');
    expect(row).toMatchObject({ remoteIP: expect.stringMatching(/^\/127\.0\.0\.1:\d+$/) });
    expect(row?.lastUpdateTimestamp).toBeGreaterThanOrEqual(beforeMs - 5);
    expect(row?.lastUpdateTimestamp).toBeLessThanOrEqual(afterMs + 5);
  });

  test('a heartbeat creates the group and its retry topic', async () => {
    await region.call(34, {}, heartbeatBody('c', 'born', 'b_topic'));
    expect(json(await region.call(352, { group: 'born' }))).toMatchObject({ retryMaxTimes: 16 });
    expect(json(await region.call(351, { topic: '%RETRY%born' }))).toMatchObject({
      perm: 6,
      readQueueNums: 1,
    });
  });

  test('a pull without a subscription uses what heartbeats said', async () => {
    await region.send('subbed', 'x');
    const fields = {
      consumerGroup: 'subbers',
      topic: 'subbed',
      queueId: 0,
      queueOffset: 0,
      maxMsgNums: 32,
      sysFlag: 0,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subVersion: 0,
    };
    expect((await region.call(11, fields)).code).toBe(ResponseCode.SUBSCRIPTION_NOT_EXIST);
    await region.call(34, {}, heartbeatBody('s', 'subbers', 'subbed'));
    expect(bodiesOf(await region.call(11, fields))).toEqual(['x']);
    expect((await region.call(11, { ...fields, subVersion: 99 })).code).toBe(
      ResponseCode.SUBSCRIPTION_NOT_LATEST,
    );
  });

  test('a tool reaches a client through the broker', async () => {
    const consumer = createPeerClient();
    consumer.onRequest((_, request) =>
      request.code === 307
        ? { ...request, code: 0, flag: 1, ext: {}, body: Buffer.from('{"properties":{}}') }
        : undefined,
    );
    const beat = { code: 34, body: heartbeatBody('asked', 'askers', 'a_topic') };
    await consumer.call(region.broker.address, beat, 20_000);
    const answer = await region.call(307, { consumerGroup: 'askers', clientId: 'asked' });
    expect(json(answer)).toEqual({ properties: {} });
    const nobody = await region.call(307, { consumerGroup: 'askers', clientId: 'nobody' });
    expect(nobody.code).toBe(ResponseCode.SYSTEM_ERROR);
    consumer.close();
  });
});

describe('offsets', () => {
  const key = { consumerGroup: 'offset_group', topic: 'offsets', queueId: 0 };
  const query = () => region.call(RequestCode.QUERY_CONSUMER_OFFSET, key);

  test('an unknown offset of a young or empty queue is 0, so that nothing is skipped', async () => {
    expect(await query()).toMatchObject({ code: 0, ext: { offset: '0' } });
    await region.send('offsets', 'x');
    expect(await query()).toMatchObject({ code: 0, ext: { offset: '0' } });
    const strict = await region.call(14, { ...key, setZeroIfNotFound: false });
    expect(strict.code).toBe(ResponseCode.QUERY_NOT_FOUND);
  });

  test('commits are kept, by 15 and with a pull; -1 is ignored', async () => {
    const commit = (commitOffset: number) => region.call(15, { ...key, commitOffset });
    expect((await commit(1)).code).toBe(0);
    await commit(-1);
    expect((await query()).ext['offset']).toBe('1');
    await region.pull('offsets', 1, { group: 'offset_group', commitOffset: 0 });
    expect((await query()).ext['offset']).toBe('0');
    const unknown = await region.call(15, { ...key, topic: 'no_topic', commitOffset: 1 });
    expect(unknown.code).toBe(ResponseCode.TOPIC_NOT_EXIST);
  });

  test('bounds and times of a queue', async () => {
    const before = Date.now() - 60_000;
    for (const body of ['a', 'b']) await region.send('bounds', body);
    const queue = { topic: 'bounds', queueId: 0 };
    expect((await region.call(30, queue)).ext['offset']).toBe('2');
    expect((await region.call(31, queue)).ext['offset']).toBe('0');
    expect((await region.call(29, { ...queue, timestamp: before })).ext['offset']).toBe('0');
    const later = { ...queue, timestamp: Date.now() + 60_000 };
    expect((await region.call(29, later)).ext['offset']).toBe('2');
    expect(Number((await region.call(32, queue)).ext['timestamp'])).toBeGreaterThan(before);
    expect((await region.call(32, { topic: 'none', queueId: 0 })).ext['timestamp']).toBe('-1');
  });

  test('a reset by an operator reaches the next pull as 21 and is stored', async () => {
    for (const body of ['a', 'b', 'c']) await region.send('reset', body);
    await region.pull('reset', 3, { group: 'resetters', commitOffset: 3 });
    const held = region.pull('reset', 3, { group: 'resetters', suspendMs: 15_000 });
    const table = json(
      await region.call(222, { topic: 'reset', group: 'resetters', timestamp: 0, isForce: true }),
    );
    expect(Object.values(table.offsetTable)).toContain(0);
    expect((await held).code).toBe(ResponseCode.PULL_NOT_FOUND);
    const moved = await region.pull('reset', 3, { group: 'resetters' });
    expect(moved).toMatchObject({ code: ResponseCode.PULL_OFFSET_MOVED });
    expect(moved.ext['nextBeginOffset']).toBe('0');
    expect(bodiesOf(await region.pull('reset', 0, { group: 'resetters' }))).toEqual([
      'a',
      'b',
      'c',
    ]);
  });
});

test('queue locks go to one client at a time', async () => {
  const mqSet = [{ brokerName: 'broker-a', queueId: 0, topic: 'locked' }];
  const lock = async (clientId: string) =>
    json(await region.call(41, {}, JSON.stringify({ clientId, consumerGroup: 'ordered', mqSet })))
      .lockOKMQSet;
  expect(await lock('a')).toEqual(mqSet);
  expect(await lock('b')).toEqual([]);
  await region.call(42, {}, JSON.stringify({ clientId: 'a', consumerGroup: 'ordered', mqSet }));
  expect(await lock('b')).toEqual(mqSet);
});

describe('retries', () => {
  const offsetOf = (sent: RemotingCommand) =>
    Number.parseInt(sent.ext['msgId']?.slice(-16) ?? '', 16);
  const pulled = (topic: string, count: number) =>
    eventually(async () => {
      const records = recordsOf(await region.pull(topic, 0, { group: 'retriers' }));
      return records.length >= count ? records : undefined;
    });

  test('a message sent back comes again on the retry topic, then goes to the dead letters', async () => {
    await region.call(34, {}, heartbeatBody('r', 'retriers', 'work'));
    const sent = await region.send('work', 'hard', { properties: { TAGS: 'x', KEYS: 'job' } });
    const back = { group: 'retriers', delayLevel: 0, originTopic: 'work', maxReconsumeTimes: 1 };
    expect((await region.call(36, { ...back, offset: offsetOf(sent) })).code).toBe(0);
    const [retry] = await pulled('%RETRY%retriers', 1);
    const properties = parseMessageProperties(retry?.properties ?? '');
    expect(retry).toMatchObject({ reconsumeTimes: 1 });
    expect(retry?.body.toString()).toBe('hard');
    expect(Object.fromEntries(properties)).toMatchObject({
      RETRY_TOPIC: 'work',
      REAL_TOPIC: '%RETRY%retriers',
      ORIGIN_MESSAGE_ID: sent.ext['msgId'],
      KEYS: 'job',
      DELAY: '3',
    });
    const again = { ...back, offset: retry?.physicalOffset };
    expect((await region.call(36, again)).code).toBe(0);
    const [dead] = await pulled('%DLQ%retriers', 1);
    expect(dead?.body.toString()).toBe('hard');
    expect(parseMessageProperties(dead?.properties ?? '').get('ORIGIN_MESSAGE_ID')).toBe(
      sent.ext['msgId'],
    );
  });

  test('what cannot be sent back is refused with its code', async () => {
    const fields = { offset: 0, delayLevel: 0 };
    expect((await region.call(36, { ...fields, group: 'no body' })).code).toBe(26);
    expect((await region.call(36, { ...fields, group: 'retriers', offset: 1e10 })).code).toBe(1);
  });

  test('a direct send to the retry topic with too many tries is diverted', async () => {
    await region.call(34, {}, heartbeatBody('d', 'divert', 'work'));
    const ext = { j: 3, l: 2 };
    const sent = await region.send('%RETRY%divert', 'late', { ext, properties: { DELAY: '1' } });
    expect(sent.code).toBe(0);
    expect(bodiesOf(await region.pull('%DLQ%divert', 0))).toEqual(['late']);
  });
});

describe('delays', () => {
  test('a message with a level is delivered late, in order, with its own properties', async () => {
    const sent = await region.send('delayed', 'later', { properties: { DELAY: '1', TAGS: 'd' } });
    expect(sent.code).toBe(0);
    await region.send('delayed', 'latest', { properties: { DELAY: '1', TAGS: 'd' } });
    expect(bodiesOf(await region.pull('delayed', 0))).toEqual([]);
    const records = await eventually(async () => {
      const found = recordsOf(await region.pull('delayed', 0, { subscription: 'd' }));
      return found.length === 2 ? found : undefined;
    });
    expect(records.map((record) => record.body.toString())).toEqual(['later', 'latest']);
    const parked = recordsOf(await region.pull('SCHEDULE_TOPIC_XXXX', 0))[0];
    const delayMs = (records[0]?.storeTimestampMs ?? 0) - (parked?.storeTimestampMs ?? 0);
    expect(delayMs).toBeGreaterThanOrEqual(1_000);
  });

  test('a level above the highest is the highest, and waits', async () => {
    await region.send('delayed_long', 'x', { properties: { DELAY: '99' } });
    const queue = { topic: 'SCHEDULE_TOPIC_XXXX', queueId: 5 };
    const end = async () => Number((await region.call(30, queue)).ext['offset']);
    await eventually(async () => ((await end()) === 1 ? true : undefined));
  });
});
