// Administration codes that change more than a table, over sockets: topics that are deleted and made again,
// groups that may not read, assignments, resets both ways, clones, clean-up, statistics in windows.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseJson, type RemotingCommand, RequestCode } from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  heartbeatBody,
  pullFields,
  recordsOf,
  startBroker,
} from '../support/broker-fixture.ts';
import { rawConnection } from '../support/raw-connection.ts';

let region: BrokerFixture;
beforeAll(async () => {
  region = await startBroker();
});
afterAll(() => region.stop());

interface Share {
  messageQueue: { queueId: number };
}

const json = (answer: RemotingCommand) =>
  JSON.parse(JSON.stringify(parseJson(answer.body?.toString() ?? '{}')));
const queue = (topic: string, queueId: number) =>
  `{"brokerName":"broker-a","queueId":${queueId},"topic":"${topic}"}`;
const group = (name: string) => region.call(200, {}, JSON.stringify({ groupName: name }));
const commit = (consumerGroup: string, topic: string, queueId: number, commitOffset: number) =>
  region.call(15, { consumerGroup, topic, queueId, commitOffset });
const offsetOf = async (consumerGroup: string, topic: string, queueId = 0) =>
  (await region.call(14, { consumerGroup, topic, queueId, setZeroIfNotFound: false })).ext[
    'offset'
  ];

async function member(clientId: string, groupName: string, topic: string, answer?: object) {
  const client = new RemotingClient();
  const heard: RemotingCommand[] = [];
  client.onRequest((_address, request) => {
    heard.push(request);
    const body = Buffer.from(JSON.stringify(answer ?? {}));
    return answer && { ...request, code: 0, flag: 1, ext: {}, body };
  });
  await client.invoke(
    region.broker.address,
    { code: RequestCode.HEART_BEAT, body: heartbeatBody(clientId, groupName, topic) },
    5_000,
  );
  return { heard, close: () => client.close() };
}

describe('a deleted topic', () => {
  test('takes its queues, offsets and statistics with it, over a restart too', async () => {
    for (const body of ['a', 'b', 'c']) await region.send('short', body);
    await group('short_group');
    await commit('short_group', 'short', 0, 3);
    expect((await region.call(215, { topic: 'short' })).code).toBe(0);
    expect(fs.existsSync(path.join(region.root, 'consumequeue', 'short'))).toBe(false);
    const saved = fs.readFileSync(path.join(region.root, 'config', 'consumerOffset.json'), 'utf8');
    expect(saved).not.toContain('short@');
    await region.send('short', 'new');
    await region.restart();
    expect(bodiesOf(await region.pull('short', 0))).toEqual(['new']);
    expect(await offsetOf('short_group', 'short')).toBeUndefined();
    expect((await region.call(215, { topic: ' ' })).code).toBe(29);
    expect((await region.call(215, { topic: 'TBW102' })).code).toBe(29);
  });

  test('is told apart from one that nobody configured any more (316)', async () => {
    await region.send('leftover', 'x');
    fs.mkdirSync(path.join(region.root, 'config'), { recursive: true });
    await region.send('kept', 'x');
    const file = path.join(region.root, 'config', 'topics.json');
    await region.broker.stop();
    const topics = JSON.parse(fs.readFileSync(file, 'utf8'));
    delete topics.topicConfigTable.leftover;
    fs.writeFileSync(file, JSON.stringify(topics));
    await region.restart();
    expect(fs.existsSync(path.join(region.root, 'consumequeue', 'leftover'))).toBe(true);
    expect((await region.call(316)).code).toBe(0);
    expect(fs.existsSync(path.join(region.root, 'consumequeue', 'leftover'))).toBe(false);
    expect(bodiesOf(await region.pull('kept', 0))).toEqual(['x']);
    expect((await region.call(306)).code).toBe(0);
    expect((await region.call(329)).code).toBe(0);
  });
});

describe('groups', () => {
  test('one that is forbidden a topic gets 16 there, also after a restart (353)', async () => {
    await region.send('secret', 'x');
    await group('curious');
    const ask = (more = {}) => region.call(353, { group: 'curious', topic: 'secret', ...more });
    expect(json(await ask())).toEqual({ group: 'curious', readable: true, topic: 'secret' });
    expect(json(await ask({ readable: false })).readable).toBe(false);
    await region.restart();
    const client = await member('c1', 'curious', 'secret');
    const pulled = await region.call(RequestCode.PULL_MESSAGE, {
      consumerGroup: 'curious',
      topic: 'secret',
      queueId: 0,
      queueOffset: 0,
      maxMsgNums: 1,
      sysFlag: 0,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subVersion: 0,
    });
    expect([pulled.code, pulled.remark]).toEqual([
      16,
      'the consumer group[curious] is forbidden for topic[secret]',
    ]);
    expect(json(await ask({ readable: true })).readable).toBe(true);
    expect(json(await region.call(201)).forbiddenTable).toEqual({});
    client.close();
  });

  test('all groups and topics come in pages for those who ask for pages', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) await group(name);
    const all = await region.call(201);
    const total = Number(all.ext['totalGroupNum']);
    const names = Object.keys(json(all).subscriptionGroupTable).sort();
    expect(names).toHaveLength(total);
    const dataVersion = JSON.stringify(json(all).dataVersion);
    const page = await region.call(201, { groupSeq: 1, maxGroupNum: 2, dataVersion });
    expect(Object.keys(json(page).subscriptionGroupTable).sort()).toEqual(names.slice(1, 3));
    const restarted = await region.call(201, { groupSeq: 1, maxGroupNum: 2, dataVersion: '{}' });
    expect(Object.keys(json(restarted).subscriptionGroupTable).sort()).toEqual(names.slice(0, 2));
    const topics = await region.call(21, { topicSeq: 0, maxTopicNum: 1 });
    expect(Object.keys(json(topics).topicConfigTable)).toHaveLength(1);
    expect(Number(topics.ext['totalTopicNum'])).toBeGreaterThan(1);
  });

  test('queues are shared out by the broker for clients that ask (400, 401, 402)', async () => {
    await region.send('shared', 'x');
    await group('sharers');
    const members = [
      await member('s1', 'sharers', 'shared'),
      await member('s2', 'sharers', 'shared'),
    ];
    const ask = async (clientId: string, more = {}) =>
      json(
        await region.call(
          400,
          {},
          JSON.stringify({
            clientId,
            consumerGroup: 'sharers',
            messageModel: 'CLUSTERING',
            strategyName: 'AVG',
            topic: 'shared',
            ...more,
          }),
        ),
      ).messageQueueAssignments;
    const shares = [await ask('s1'), await ask('s2')];
    const ids = shares.map((share) => share.map((row: Share) => row.messageQueue.queueId));
    expect(ids).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(shares[0][0].mode).toBe('PULL');
    const circle = await ask('s1', { strategyName: 'AVG_BY_CIRCLE' });
    expect(circle.map((row: Share) => row.messageQueue.queueId)).toEqual([0, 2]);
    expect(await ask('s1', { messageModel: 'BROADCASTING' })).toHaveLength(4);
    expect(await ask('s1', { topic: 'nowhere' })).toBeUndefined();
    const mode = { topic: 'shared', consumerGroup: 'sharers', mode: 'PULL', popShareQueueNum: 0 };
    expect((await region.call(401, {}, JSON.stringify(mode))).code).toBe(0);
    expect(json(await region.call(402)).messageRequestModeMap.shared.sharers.mode).toBe('PULL');
    const set = (more: object) => region.call(401, {}, JSON.stringify({ ...mode, ...more }));
    expect((await set({ mode: 'POP' })).code).toBe(3);
    expect((await set({ topic: '%RETRY%sharers' })).code).toBe(16);
    expect((await set({ topic: 'nowhere' })).code).toBe(17);
    expect((await set({ consumerGroup: 'nobody' })).code).toBe(26);
    for (const { close } of members) close();
  });
});

describe('offsets', () => {
  test('a reset moves one queue or all, and refuses what is not in the queue', async () => {
    for (const body of ['a', 'b', 'c']) await region.send('reset', body);
    await group('resetters');
    const reset = (more: object) =>
      region.call(222, {
        topic: 'reset',
        group: 'resetters',
        timestamp: -1,
        isForce: true,
        ...more,
      });
    expect(json(await reset({})).offsetTable[queue('reset', 0)]).toBe(3);
    expect(json(await reset({ timestamp: 0 })).offsetTable[queue('reset', 0)]).toBe(0);
    const one = json(await reset({ queueId: 0, offset: 2 })).offsetTable;
    expect(one).toEqual({ [queue('reset', 0)]: 2 });
    const refused = await reset({ queueId: 0, offset: 9 });
    expect([refused.code, refused.remark]).toEqual([
      1,
      'Target offset 9 not in consume queue range [0-3]',
    ]);
    expect((await reset({ topic: 'nowhere' })).code).toBe(17);
    expect((await reset({ group: 'nobody' })).code).toBe(26);
  });

  test('with useServerSideResetOffset=false online members are told (220), C++ in its own form', async () => {
    await region.call(25, {}, 'useServerSideResetOffset=false\n');
    await region.call(17, {
      topic: 'pushed',
      defaultTopic: 'TBW102',
      readQueueNums: 1,
      writeQueueNums: 1,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
    });
    for (const body of ['a', 'b', 'c']) await region.send('pushed', body);
    await group('told');
    const fields = { topic: 'pushed', group: 'told', timestamp: '-1', isForce: 'true' };
    const ask = () => region.call(222, fields);
    expect((await ask()).remark).toContain('not exist');
    await commit('told', 'pushed', 0, 1);
    expect((await ask()).code).toBe(206);
    const client = await member('t1', 'told', 'pushed');
    expect(json(await ask()).offsetTable).toEqual({ [queue('pushed', 0)]: 3 });
    const first = await eventually(() => client.heard.find((request) => request.code === 220));
    expect(json(first).offsetTable).toEqual({ [queue('pushed', 0)]: 3 });
    const cpp = await rawConnection(region.broker.address);
    const extFields = { ...fields, isForce: 'false' };
    cpp.writeFrame(JSON.stringify({ code: 222, language: 'CPP', opaque: 1, flag: 0, extFields }));
    expect((await cpp.next()).code).toBe(0);
    cpp.close();
    const second = await eventually(() => client.heard.filter(({ code }) => code === 220)[1]);
    expect(json(second).offsetTable).toEqual([
      { topic: 'pushed', brokerName: 'broker-a', queueId: 0, offset: 1 },
    ]);
    client.close();
    await region.call(25, {}, 'useServerSideResetOffset=true\n');
  });

  test('a clone leaves out what members no longer read, unless told they are offline', async () => {
    for (const topic of ['cl-a', 'cl-b']) {
      await region.send(topic, 'x');
      await group('cl-src');
      await commit('cl-src', topic, 0, 1);
    }
    const client = await member('cl', 'cl-src', 'cl-a');
    const clone = (more = {}) =>
      region.call(314, { srcGroup: 'cl-src', destGroup: 'cl-dst', ...more });
    expect((await clone()).code).toBe(0);
    expect(await offsetOf('cl-dst', 'cl-a')).toBe('1');
    expect(await offsetOf('cl-dst', 'cl-b')).toBeUndefined();
    expect((await clone({ topic: 'cl-b', offline: true })).code).toBe(0);
    expect(await offsetOf('cl-dst', 'cl-b')).toBe('1');
    client.close();
  });

  test('the smallest offset of all groups, and how old what a group reads is (308, 303)', async () => {
    for (const body of ['a', 'b', 'c']) await region.send('span', body);
    for (const [name, offset] of [
      ['sp-1', 1],
      ['sp-2', 2],
      ['sp-3', 3],
    ] as const) {
      await group(name);
      await commit(name, 'span', 0, offset);
    }
    const corrected = (ext: object) => region.call(308, { topic: 'span', ...ext });
    expect((await corrected({ compareGroup: 'sp-3' })).body?.toString()).toBe(
      '{"correctionOffsets":{0:1}}',
    );
    const filtered = await corrected({ compareGroup: 'sp-1', filterGroups: 'sp-1' });
    expect(filtered.body?.toString()).toBe('{"correctionOffsets":{0:9223372036854775807}}');
    const { consumeTimeSpanSet } = json(await region.call(303, { topic: 'span', group: 'sp-1' }));
    expect(consumeTimeSpanSet).toHaveLength(4);
    const [span, empty] = consumeTimeSpanSet;
    expect(span.minTimeStamp).toBeLessThanOrEqual(span.maxTimeStamp);
    expect(span.delayTime).toBeGreaterThanOrEqual(0);
    expect(empty).toMatchObject({ minTimeStamp: -1, maxTimeStamp: -1, delayTime: 0 });
    expect((await region.call(303, { topic: 'nowhere', group: 'g' })).code).toBe(17);
  });
});

describe('what others ask of a master', () => {
  test('a slave learns addresses and flush offset (906), the rest is accepted (905, 908)', async () => {
    const answer = await region.call(906);
    expect(answer.ext['masterAddress']).toBe(region.broker.address);
    expect(answer.ext['masterHaAddress']).toBe(region.broker.haAddress);
    expect(Number(answer.ext['masterFlushOffset'])).toBeGreaterThan(0);
    expect((await region.call(906, { masterHaAddress: 'x', masterFlushOffset: 1 })).ext).toEqual(
      {},
    );
    expect((await region.call(905, { minBrokerId: 0 })).code).toBe(0);
    expect((await region.call(908, { masterFlushOffset: 1 })).code).toBe(0);
  });

  test('relays carry the answer of the one member that was asked (309, 223)', async () => {
    const sent = await region.send('direct', 'x');
    const client = await member('d1', 'direct-group', 'direct', { consumeResult: 'CR_SUCCESS' });
    const fields = { consumerGroup: 'direct-group', clientId: 'd1', topic: 'direct' };
    const done = await region.call(309, { ...fields, msgId: sent.ext['msgId'] });
    expect(json(done).consumeResult).toBe('CR_SUCCESS');
    const heard = client.heard.find((request) => request.code === 309);
    expect(heard?.ext).toMatchObject({ brokerName: 'broker-a', topicSysFlag: '0' });
    expect(heard?.body?.toString('latin1')).toContain('direct');
    const absent = await region.call(309, { ...fields, clientId: 'd2', msgId: sent.ext['msgId'] });
    expect([absent.code, absent.remark]).toEqual([
      1,
      'The Consumer <direct-group> <d2> not online',
    ]);
    const status = await region.call(223, { topic: 'direct', group: 'direct-group' });
    expect(json(status).consumerTable).toHaveProperty('d1');
    client.close();
  });
});

describe('configuration that takes effect at once', () => {
  const set = (text: string) => region.call(25, {}, text);

  test('groups far back in the log get smaller pieces and another replica', async () => {
    for (let i = 0; i < 6; i++) await region.send('far', `m${i}`);
    const far = 'accessMessageInMemoryMaxRatio=0\nmaxTransferCountOnMessageInDisk=2\n';
    await set(`${far}slaveReadEnable=true\n`);
    const cold = await region.pull('far', 0);
    expect(bodiesOf(cold)).toEqual(['m0', 'm1']);
    expect(cold.ext['suggestWhichBrokerId']).toBe('1');
    await set('slaveReadEnable=false\naccessMessageInMemoryMaxRatio=40\n');
    const warm = await region.pull('far', 0);
    expect(bodiesOf(warm)).toHaveLength(6);
    expect(warm.ext['suggestWhichBrokerId']).toBe('0');
  });

  test('lite pulls are refused when they are switched off', async () => {
    const fields = pullFields('far', 0);
    expect((await region.call(RequestCode.LITE_PULL_MESSAGE, fields)).code).toBe(0);
    await set('litePullMessageEnable=false\n');
    const refused = await region.call(RequestCode.LITE_PULL_MESSAGE, fields);
    expect([refused.code, refused.remark]).toEqual([
      16,
      'the broker[127.0.0.1] for lite pull consumer is forbidden',
    ]);
    await set('litePullMessageEnable=true\n');
  });

  test('a question for a key gets as many messages as defaultQueryMaxNum and maxNum say', async () => {
    for (let i = 0; i < 5; i++) {
      await region.send('keyed', `m${i}`, { properties: { KEYS: 'k', UNIQ_KEY: 'U' } });
    }
    const ask = async (key: string, more = {}) => {
      const range = { beginTimestamp: 0, endTimestamp: '9223372036854775807' };
      const answer = await region.call(12, { topic: 'keyed', key, maxNum: 3, ...range, ...more });
      return answer.code === 0 ? recordsOf(answer).length : -answer.code;
    };
    expect(await ask('k')).toBe(3);
    expect(await ask('U', { _UNIQUE_KEY_QUERY: true })).toBe(5);
    await set('defaultQueryMaxNum=2\n');
    expect(await ask('U', { _UNIQUE_KEY_QUERY: true })).toBe(2);
    await set('defaultQueryMaxNum=32\n');
    expect(await ask('nothing')).toBe(-22);
  });
});

test('names with a namespace are names like others, whatever the header says of it', async () => {
  const more = { ext: { ns: 'inst', nsd: true } };
  expect((await region.send('inst%orders', 'x', more)).code).toBe(0);
  const fields = {
    ...pullFields('inst%orders', 0, { group: 'inst%readers' }),
    ns: 'inst',
    nsd: true,
  };
  expect(bodiesOf(await region.call(RequestCode.PULL_MESSAGE, fields))).toEqual(['x']);
  await commit('inst%readers', 'inst%orders', 0, 1);
  expect(await offsetOf('inst%readers', 'inst%orders')).toBe('1');
  expect(json(await region.call(300, { topic: 'inst%orders' })).groupList).toEqual([
    'inst%readers',
  ]);
  expect((await region.call(200, {}, JSON.stringify({ groupName: 'inst%made' }))).code).toBe(0);
});
