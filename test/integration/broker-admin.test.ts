// The codes operators' tools use: topics, groups, statistics, configuration, registration.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderMetrics } from '../../core-broker/base/index.ts';
import { createBroker, loadBrokerConfig } from '../../core-broker/broker/index.ts';
import {
  decodeRegisterBody,
  parseJson,
  type RegisterBrokerBody,
  type RemotingCommand,
  RequestCode,
} from '../../core-broker/protocol/index.ts';
import { RemotingServer, RequestDispatcher } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  eventually,
  heartbeatBody,
  startBroker,
  testConfig,
} from '../support/broker-fixture.ts';

/** A name server that writes down what it is told. */
async function listeningNameServer() {
  const told: { ext: Record<string, string>; body: RegisterBrokerBody }[] = [];
  const left: string[] = [];
  const listener = new RequestDispatcher({
    handlers: new Map([
      [
        RequestCode.REGISTER_BROKER as number,
        (request: RemotingCommand) => {
          const header = { compressed: false, bodyCrc32: Number(request.ext['bodyCrc32']) };
          told.push({ ext: request.ext, body: decodeRegisterBody(request.body, header) });
          return { code: 0 };
        },
      ],
      [
        RequestCode.UNREGISTER_BROKER as number,
        (request: RemotingCommand) => {
          left.push(request.ext['brokerAddr'] ?? '');
          return { code: 0 };
        },
      ],
    ]),
    toResponse: () => ({ code: 1 }),
  });
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener });
  const port = await server.listen();
  return { told, left, address: `127.0.0.1:${port}`, close: () => server.close() };
}

let names: Awaited<ReturnType<typeof listeningNameServer>>;
let region: BrokerFixture;

beforeAll(async () => {
  names = await listeningNameServer();
  region = await startBroker({ namesrvAddr: names.address });
});
afterAll(async () => {
  await region.stop();
  await names.close();
});

/** Java's JSON, queues as keys included. */
const json = (answer: RemotingCommand) =>
  JSON.parse(JSON.stringify(parseJson(answer.body?.toString() ?? '{}')));
const topicFields = (topic: string, more = {}) => ({
  topic,
  defaultTopic: 'TBW102',
  readQueueNums: 3,
  writeQueueNums: 3,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  ...more,
});

describe('registration', () => {
  test('a broker registers with address, role and all topics before start() is over', () => {
    expect(names.told[0]?.ext).toMatchObject({
      brokerAddr: region.broker.address,
      haServerAddr: region.broker.haAddress,
      brokerName: 'broker-a',
      brokerId: '0',
    });
    const topics = names.told[0]?.body.topicConfigSerializeWrapper.topicConfigTable ?? {};
    expect(Object.keys(topics)).toEqual(expect.arrayContaining(['TBW102', 'broker-a']));
  });

  test('a new topic is registered at once, with a newer version', async () => {
    const before = names.told.at(-1)?.body.topicConfigSerializeWrapper.dataVersion.counter ?? 0;
    await region.call(RequestCode.UPDATE_AND_CREATE_TOPIC, topicFields('announced'));
    const told = await eventually(() =>
      names.told.find(({ body }) => body.topicConfigSerializeWrapper.topicConfigTable['announced']),
    );
    expect(told.body.topicConfigSerializeWrapper.dataVersion.counter).toBeGreaterThan(before);
  });

  test('brokerPermission masks every topic and takes effect at once', async () => {
    await region.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=4\n');
    const permOf = (index: number) =>
      names.told.at(index)?.body.topicConfigSerializeWrapper.topicConfigTable['TBW102']?.perm;
    await eventually(() => (permOf(-1) === 4 ? true : undefined));
    await region.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=6\n');
    await eventually(() => (permOf(-1) === 7 ? true : undefined));
  });

  test('a broker that was started read-only writes again once it is told so', async () => {
    const other = await startBroker({ namesrvAddr: names.address, brokerPermission: 4 });
    const permOf = () =>
      names.told.findLast(({ ext }) => ext['brokerAddr'] === other.broker.address)?.body
        .topicConfigSerializeWrapper.topicConfigTable['TBW102']?.perm;
    await eventually(() => (permOf() === 4 ? true : undefined));
    await other.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'brokerPermission=6\n');
    await eventually(() => (permOf() === 7 ? true : undefined));
    await other.stop();
  });

  test('a broker that stops says goodbye, and one without a name server still serves', async () => {
    const other = await startBroker({ namesrvAddr: `${names.address};127.0.0.1:1` });
    expect((await other.send('alone', 'x')).code).toBe(0);
    await other.broker.stop();
    expect(names.left).toContain(other.broker.address);
    await other.stop();
  });
});

describe('topics and groups', () => {
  test('a topic is created, shown, measured and deleted', async () => {
    const created = await region.call(
      17,
      topicFields('made', { attributes: '+message.type=FIFO' }),
    );
    expect(created.code).toBe(0);
    expect(json(await region.call(351, { topic: 'made' }))).toMatchObject({
      readQueueNums: 3,
      attributes: { 'message.type': 'FIFO' },
    });
    await region.send('made', 'x', { queueId: 2 });
    const { offsetTable } = json(await region.call(202, { topic: 'made' }));
    expect(Object.keys(offsetTable)).toHaveLength(3);
    const last = offsetTable['{"brokerName":"broker-a","queueId":2,"topic":"made"}'];
    expect(last).toMatchObject({ maxOffset: 1, minOffset: 0 });
    expect((await region.call(215, { topic: 'made' })).code).toBe(0);
    expect((await region.call(351, { topic: 'made' })).code).toBe(17);
    expect((await region.call(215, { topic: 'made' })).code).toBe(0);
  });

  test('system topics and bad names are refused', async () => {
    expect((await region.call(17, topicFields('TBW102'))).code).toBe(29);
    expect((await region.call(17, topicFields('a b'))).code).toBe(29);
    expect(json(await region.call(305)).topicList).toContain('SCHEDULE_TOPIC_XXXX');
    expect(json(await region.call(21)).topicConfigTable['TBW102'].perm).toBe(7);
  });

  test('a group is created, shown and deleted with its offsets', async () => {
    await region.call(200, {}, JSON.stringify({ groupName: 'made_group', retryMaxTimes: 3 }));
    expect(json(await region.call(352, { group: 'made_group' })).retryMaxTimes).toBe(3);
    expect(json(await region.call(201)).subscriptionGroupTable['made_group']).toBeDefined();
    await region.send('gt', 'x');
    await region.call(15, {
      consumerGroup: 'made_group',
      topic: 'gt',
      queueId: 0,
      commitOffset: 1,
    });
    expect(json(await region.call(43)).offsetTable['gt@made_group']).toEqual({ 0: 1 });
    await region.call(207, { groupName: 'made_group', cleanOffset: true });
    expect(json(await region.call(43)).offsetTable['gt@made_group']).toBeUndefined();
    expect((await region.call(352, { group: 'made_group' })).code).toBe(26);
  });
});

describe('consumption', () => {
  test('progress and connections of a group', async () => {
    for (const body of ['a', 'b', 'c']) await region.send('watched', body);
    await region.call(34, {}, heartbeatBody('w', 'watchers', 'watched'));
    await region.call(15, {
      consumerGroup: 'watchers',
      topic: 'watched',
      queueId: 0,
      commitOffset: 1,
    });
    const stats = json(await region.call(208, { consumerGroup: 'watchers' }));
    const queue = stats.offsetTable['{"brokerName":"broker-a","queueId":0,"topic":"watched"}'];
    expect(queue).toMatchObject({ brokerOffset: 3, consumerOffset: 1 });
    expect(queue.lastTimestamp).toBeGreaterThan(0);
    const connections = json(await region.call(203, { consumerGroup: 'watchers' }));
    expect(connections.connectionSet[0].clientId).toBe('w');
    expect(Object.keys(connections.subscriptionTable)).toEqual(['watched']);
    expect(
      json(await region.call(204, { producerGroup: 'test_producer' })).connectionSet,
    ).toHaveLength(1);
    expect((await region.call(203, { consumerGroup: 'nobody' })).code).toBe(206);
    expect((await region.call(204, { producerGroup: 'nobody' })).code).toBe(1);
    expect(json(await region.call(300, { topic: 'watched' })).groupList).toContain('watchers');
    expect(json(await region.call(343, { group: 'watchers' })).topicList).toEqual(['watched']);
    expect(json(await region.call(317, { isOrder: false })).totalDiff).toBeGreaterThanOrEqual(2);
  });

  test('statistics by topic and group', async () => {
    await region.send('counted', 'x');
    await region.pull('counted', 0, { group: 'counters' });
    const named = (statsName: string, statsKey: string) =>
      region.call(315, { statsName, statsKey });
    expect(json(await named('TOPIC_PUT_NUMS', 'counted'))).toHaveProperty('statsMinute.tps');
    expect((await named('GROUP_GET_NUMS', 'counted@counters')).code).toBe(0);
    expect((await named('GROUP_GET_NUMS', 'nothing')).code).toBe(1);
  });
});

describe('the broker itself', () => {
  test('runtime figures are text that the tools can parse', async () => {
    await region.send('figures', 'x');
    const { table } = json(await region.call(28));
    expect(Object.values(table).every((value) => typeof value === 'string')).toBe(true);
    for (const key of ['putTps', 'getTotalTps', 'getTransferedTps', 'getTransferredTps']) {
      expect(table[key].split(' ').map(Number).every(Number.isFinite), key).toBe(true);
    }
    for (const key of ['commitLogMaxOffset', 'msgPutTotalTodayNow', 'sendThreadPoolQueueSize']) {
      expect(Number.isFinite(Number(table[key])), key).toBe(true);
    }
    expect(table['brokerVersionDesc']).toBe('V5_5_0');
    expect(table['scheduleMessageOffset_1']).toBe('0,0');
  });

  test('the configuration is shown whole and changed in its file, over a restart', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-file-'));
    const file = path.join(folder, 'broker.conf');
    const written = [
      '# ours',
      'brokerName = filed',
      'fileReservedTime=48',
      'configBlackList=aclEnable',
      '! last',
      '',
    ];
    fs.writeFileSync(file, written.join('\n'));
    const config = { ...testConfig(path.join(folder, 'store')), path: file };
    config.configBlackList = 'aclEnable';
    const broker = createBroker({ config });
    await broker.start();
    const ask = (code: number, body?: string) =>
      region.client.invoke(broker.address, { code, ...(body ? { body } : {}) }, 20_000);
    try {
      const shown = await ask(26);
      expect(shown.body?.toString()).toMatch(/^maxMessageSize=4194304$/m);
      // A key that has no effect here is shown as Apache shows it.
      expect(shown.body?.toString()).toMatch(/^serverSelectorThreads=3$/m);
      expect(JSON.parse(shown.ext['version'] ?? '')).toHaveProperty('counter', 0);
      const change = 'autoCreateTopicEnable=false\nfileReservedTime=9\nnobodyKnows=1\n';
      expect((await ask(25, change)).code).toBe(0);
      expect(fs.readFileSync(file, 'utf8').split('\n')).toEqual([
        '# ours',
        'brokerName = filed',
        'fileReservedTime=9',
        'configBlackList=aclEnable',
        '! last',
        'autoCreateTopicEnable=false',
        '',
      ]);
      expect((await ask(26)).body?.toString()).toMatch(/^autoCreateTopicEnable=false$/m);
      expect(JSON.parse((await ask(26)).ext['version'] ?? '')).toHaveProperty('counter', 1);
      for (const body of ['configBlackList=x\n', 'aclEnable=true\n']) {
        const refused = await ask(25, body);
        expect([refused.code, refused.remark]).toEqual([
          16,
          'Can not update config in black list.',
        ]);
      }
      const wrong = await ask(25, 'autoCreateTopicEnable=true\nfileReservedTime=soon\n');
      expect(wrong.code).toBe(29);
      expect(wrong.remark).toContain("fileReservedTime: 'soon' is not a whole number");
      expect(fs.readFileSync(file, 'utf8')).toContain('autoCreateTopicEnable=false');
      expect(loadBrokerConfig(file).config).toMatchObject({
        autoCreateTopicEnable: false,
        fileReservedTime: 9,
      });
    } finally {
      await broker.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });

  test('an unknown code is answered with 3, a missing field with 1', async () => {
    expect((await region.call(4_711)).code).toBe(3);
    expect((await region.call(105, { topic: 'x' })).code).toBe(3);
    expect((await region.call(30, { topic: 'x' })).code).toBe(1);
  });

  test('metrics are exposed', async () => {
    const text = await renderMetrics();
    expect(text).toMatch(/^dr_broker_sends_messages \d+/m);
    expect(text).toMatch(/^dr_broker_connections [1-9]/m);
    const labels = 'cluster="DefaultCluster",broker="broker-a"';
    expect(text).toMatch(
      new RegExp(`^dr_broker_topic_offset\\{${labels},topic="watched"\\} 3$`, 'm'),
    );
    const watchers = `${labels},group="watchers",topic="watched"`;
    expect(text).toMatch(new RegExp(`^dr_broker_group_behind_messages\\{${watchers}\\} 2$`, 'm'));
    expect(text).toMatch(new RegExp(`^dr_broker_group_offset\\{${watchers}\\} 1$`, 'm'));
    expect(text).toMatch(
      new RegExp(`^dr_broker_group_members\\{${labels},group="watchers"\\} 1$`, 'm'),
    );
  });
});
