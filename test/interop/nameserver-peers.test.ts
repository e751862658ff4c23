// Our name servers beside stock ones of 4.9.7 and 5.5.0, with the same brokers on both: a stock broker of
// that version and ours. Whatever a name server is asked, ours answers what the stock one answers.
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NameServer } from '../../core-broker/nameserver/index.ts';
import {
  decodeTopicRoute,
  parseJson,
  type RemotingCommand,
  type RequestInit,
} from '../../core-broker/protocol/index.ts';
import { type BrokerFixture, startBroker as startOurs } from '../support/broker-fixture.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';
import { mqadmin } from './exchange/mqadmin.ts';
import { startClient } from './peers/clients.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

const parts = new DrParts();
let ours: BrokerFixture;

interface Stage {
  version: ServerVersion;
  stock: RunningServer;
  own: NameServer;
  second: NameServer;
  broker: RunningServer;
}
const stages = new Map<ServerVersion, Stage>();

async function stage(version: ServerVersion): Promise<Stage> {
  const folder = path.join(parts.folder, `ns-${version}`);
  const own = await parts.nameserver({ orderMessageEnable: true });
  const second = await parts.nameserver();
  const properties = { orderMessageEnable: true };
  const stock = await startNameserver({ version, folder, port: await freePort(), properties });
  const broker = await startBroker({
    version,
    folder: path.join(parts.folder, `broker-${version}`),
    port: await freePort(true),
    namesrv: [own, second, stock].map((each) => each.address).join(';'),
    brokerName: 'broker-stock',
    clusterName: 'C',
    // The bounds of the period are 10 s and 60 s.
    properties: { registerNameServerPeriod: 10_000 },
  });
  return { version, stock, own, second, broker };
}

const namesOf = (each: Stage) => [each.own.address, each.second.address, each.stock.address];
const ask = (address: string, request: RequestInit) => parts.peer.invoke(address, request, 5_000);

beforeAll(async () => {
  const both = await Promise.all([stage('5.5.0'), stage('4.9.7')]);
  for (const each of both) stages.set(each.version, each);
  ours = await startOurs({
    brokerName: 'broker-ours',
    brokerClusterName: 'C',
    namesrvAddr: [...stages.values()].flatMap(namesOf).join(';'),
    registerNameServerPeriod: 10_000,
  });
});
afterAll(async () => {
  await ours?.stop();
  const all = [...stages.values()].flatMap((each) => [each.broker, each.stock]);
  await Promise.all(all.map((server) => server.kill()));
  await parts.close();
});

/** What can be compared: code, remark, fields, and the body with its lists in order. */
function seen(answer: RemotingCommand) {
  const { code, remark, ext } = answer;
  const body = answer.body?.length
    ? without5x(sorted(parseJson(answer.body.toString())))
    : undefined;
  return { code, remark: remark || undefined, ext: { ...ext }, body };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(sorted).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(pairs.sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** A field that 5.x adds: clients of 4.9 pass it over, and it is false here throughout. */
function without5x(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(without5x);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).filter(([key]) => key !== 'enableActingMaster');
  return Object.fromEntries(pairs.map(([key, inner]) => [key, without5x(inner)]));
}

const sameTopics = async (each: Stage) => {
  const lists = async () => {
    const answers = await Promise.all(
      [each.own, each.stock].map((server) => ask(server.address, { code: 206 })),
    );
    return answers.map((answer) => JSON.stringify(seen(answer).body));
  };
  await expect
    .poll(async () => new Set(await lists()).size, { timeout: 60_000, interval: 500 })
    .toBe(1);
};

const kv = { namespace: 'N', key: 'k', value: 'v ü' };
const stockBroker = { brokerName: 'broker-stock', clusterName: 'C' };
const REQUESTS: [string, RequestInit, ('5.5.0' | '4.9.7')?][] = [
  ['brokers and clusters', { code: 106 }],
  ['all topics', { code: 206 }],
  ['topics of a cluster', { code: 224, ext: { cluster: 'C' } }],
  ['topics of an unknown cluster', { code: 224, ext: { cluster: 'nobody' } }],
  ['unit topics', { code: 311 }],
  ['topics with unit subscriptions', { code: 312 }],
  ['topics with unit subscriptions, not unit', { code: 313 }],
  ['the route of TBW102', { code: 105, ext: { topic: 'TBW102', acceptStandardJsonOnly: true } }],
  ['an unknown topic', { code: 105, ext: { topic: 'nobody-has-it' } }],
  ['a value nobody set', { code: 101, ext: { namespace: 'N', key: 'none' } }],
  ['a namespace nobody made', { code: 219, ext: { namespace: 'none' } }],
  ['setting a value', { code: 100, ext: kv }],
  ['the value', { code: 101, ext: kv }],
  ['its namespace', { code: 219, ext: kv }],
  ['deleting it', { code: 102, ext: kv }],
  ['the value again', { code: 101, ext: kv }],
  ['withdrawing writes', { code: 205, ext: stockBroker }],
  ['the read-only route', { code: 105, ext: { topic: 'TBW102', acceptStandardJsonOnly: true } }],
  ['allowing writes', { code: 327, ext: stockBroker }],
  ['withdrawing writes of nobody', { code: 205, ext: { brokerName: 'nobody' } }],
  ['the members of a group', { code: 901, ext: stockBroker }, '5.5.0'],
  ['the members of no group', { code: 901, ext: { ...stockBroker, brokerName: 'x' } }, '5.5.0'],
  [
    'a topic of a broker nobody knows',
    {
      code: 217,
      ext: { topic: 'stray' },
      body: '{"queueDatas":[{"brokerName":"nobody","perm":6,"readQueueNums":1,"writeQueueNums":1}]}',
    },
    '5.5.0',
  ],
  [
    'the data version of a broker nobody knows',
    {
      code: 322,
      ext: { ...stockBroker, brokerAddr: '10.9.9.9:1', brokerId: 0 },
      body: '{"counter":1,"stateVersion":0,"timestamp":1}',
    },
  ],
  ['deleting a topic nobody has', { code: 216, ext: { topic: 'nobody-has-it' } }],
  ['a heartbeat of nobody', { code: 904, ext: { ...stockBroker, brokerAddr: 'x:1' } }, '5.5.0'],
  [
    'leaving without having come',
    { code: 104, ext: { ...stockBroker, brokerName: 'x', brokerAddr: 'x:1', brokerId: 0 } },
  ],
  [
    'a registration whose checksum lies',
    {
      code: 103,
      ext: {
        ...stockBroker,
        brokerName: 'x',
        brokerAddr: 'x:1',
        brokerId: 0,
        haServerAddr: 'x:2',
        bodyCrc32: 5,
      },
      body: '{}',
    },
  ],
  ['a forbidden key', { code: 318, body: 'kvConfigPath=/x\n' }],
  ['a code nobody has', { code: 9_999 }, '5.5.0'],
];

describe.each(['5.5.0', '4.9.7'] as const)('beside a name server of %s', (version) => {
  const at = () => stages.get(version) as Stage;
  /** What the tool says, without its log lines. */
  const admin = async (address: string, command: string, ...args: string[]) => {
    const folder = path.join(parts.folder, `tools-${version}`);
    const text = await mqadmin({ version, folder }, command, ['-n', address, ...args]);
    return text.replace(/^[\d:.]+ WARN .*\n/gm, '');
  };

  test('both know the stock broker and ours, with the same topics', async () => {
    await sameTopics(at());
    const info = seen(await ask(at().own.address, { code: 106 })).body as {
      brokerAddrTable: object;
    };
    expect(Object.keys(info.brokerAddrTable)).toEqual(['broker-ours', 'broker-stock']);
  });

  test.each(REQUESTS)('%s', async (name, request, only) => {
    if (only !== undefined && only !== version) return;
    const [mine, theirs] = await Promise.all([
      ask(at().own.address, request),
      ask(at().stock.address, request),
    ]);
    const [left, right] = [seen(mine), seen(theirs)];
    // 4.9 words its refusals differently, and 5.5.0 leaves a remark of its own on some successes.
    if (version === '4.9.7' || right.code === 0) left.remark = right.remark;
    expect({ name, ...left }).toEqual({ name, ...right });
  });

  test('a topic made on our broker is on every name server', async () => {
    const topic = `made-${version.replaceAll('.', '_')}`;
    const fields = {
      topic,
      readQueueNums: 3,
      writeQueueNums: 3,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
    };
    const more = { defaultTopic: 'TBW102', topicSysFlag: 0, order: false };
    expect((await ours.call(17, { ...fields, ...more })).code).toBe(0);
    for (const address of namesOf(at())) {
      const route = async () => {
        const answer = await ask(address, {
          code: 105,
          ext: { topic, acceptStandardJsonOnly: true },
        });
        return answer.code === 0 ? decodeTopicRoute(answer.body).queueDatas : [];
      };
      await expect
        .poll(route)
        .toMatchObject([{ brokerName: 'broker-ours', readQueueNums: 3, perm: 6 }]);
    }
  });

  test('mqadmin makes an ordered topic: configuration, routes and both brokers say so', async () => {
    const [mine, theirs] = [at().own.address, at().stock.address];
    const topic = `ordered-${version.replaceAll('.', '_')}`;
    const wanted = ['-c', 'C', '-t', topic, '-r', '4', '-w', '4', '-o', 'true'];
    const conf = { code: 101, ext: { namespace: 'ORDER_TOPIC_CONFIG', key: topic } };
    const parsed = async (address: string) =>
      ((await ask(address, conf)).ext['value'] ?? '').split(';').sort();
    await admin(theirs, 'updateTopic', ...wanted);
    await admin(mine, 'updateTopic', ...wanted);
    expect(await parsed(mine)).toEqual(['broker-ours:4', 'broker-stock:4']);
    expect(await parsed(mine)).toEqual(await parsed(theirs));
    const route = { code: 105, ext: { topic, acceptStandardJsonOnly: true } };
    await expect
      .poll(async () => seen(await ask(mine, route)))
      .toEqual(seen(await ask(theirs, route)));

    const put = ['-t', 'TBW102', '-m', 'put', '-v', 'broker-ours:8'];
    for (const address of [mine, theirs]) await admin(address, 'updateOrderConf', ...put);
    const get = (address: string) => admin(address, 'updateOrderConf', '-t', 'TBW102', '-m', 'get');
    expect(await get(mine)).toBe(await get(theirs));
    const isOrdered = async () => {
      const table = parseJson(String((await ours.call(21)).body)) as {
        topicConfigTable: Record<string, { order: boolean }>;
      };
      return table.topicConfigTable['TBW102']?.order;
    };
    await expect.poll(isOrdered).toBe(true);
    const gone = ['-t', 'TBW102', '-m', 'delete'];
    for (const address of [mine, theirs]) await admin(address, 'updateOrderConf', ...gone);
    expect((await ask(mine, { ...conf, ext: { ...conf.ext, key: 'TBW102' } })).code).toBe(22);
  });

  test('mqadmin reads and writes keys and configuration as on the stock one', async () => {
    const each = [at().own.address, at().stock.address];
    const texts = async (command: string, ...args: string[]) => {
      const [mine = '', theirs = ''] = await Promise.all(
        each.map((address) => admin(address, command, ...args)),
      );
      return [mine.replaceAll(each[0] ?? '', 'NS'), theirs.replaceAll(each[1] ?? '', 'NS')];
    };
    for (const [command, ...args] of [
      ['updateKvConfig', '-s', 'S', '-k', 'key', '-v', 'value'],
      ['deleteKvConfig', '-s', 'S', '-k', 'key'],
      ['wipeWritePerm', '-b', 'broker-stock'],
      ...(version === '5.5.0' ? [['addWritePerm', '-b', 'broker-stock']] : []),
      ['updateNamesrvConfig', '-k', 'orderMessageEnable', '-v', 'false'],
      ['topicRoute', '-t', 'no-such-topic'],
    ] as [string, ...string[]][]) {
      const answers = await texts(command, ...args).catch((reason: unknown) => [String(reason)]);
      if (answers.length === 2) expect([command, answers[0]]).toEqual([command, answers[1]]);
    }
    const [mine = '', theirs = ''] = await texts('getNamesrvConfig');
    const keys = (text: string) => [...text.matchAll(/^(\w+)\s*=/gm)].map(([, key]) => key);
    expect(keys(theirs)).toEqual(expect.arrayContaining(['orderMessageEnable', 'kvConfigPath']));
    expect(mine).toMatch(/orderMessageEnable\s*=\s*false/);
  });
});

test('a stock client sends on when a broker is killed, then one of two name servers', async () => {
  const at = stages.get('5.5.0') as Stage;
  const topic = 'follows';
  const fields = {
    topic,
    readQueueNums: 4,
    writeQueueNums: 4,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
  };
  const more = { defaultTopic: 'TBW102', topicSysFlag: 0, order: false };
  await ours.call(17, { ...fields, ...more });
  await ask(at.broker.address, { code: 17, ext: { ...fields, ...more } });
  const brokersAt = async (address: string) => {
    const answer = await ask(address, { code: 105, ext: { topic, acceptStandardJsonOnly: true } });
    return answer.code === 0 ? decodeTopicRoute(answer.body).brokerDatas.length : 0;
  };
  for (const address of namesOf(at)) {
    await expect.poll(() => brokersAt(address)).toBe(2);
  }
  const client = await startClient({
    kind: 'java-5.5.0',
    namesrv: `${at.own.address};${at.second.address}`,
    topic,
    folder: parts.folder,
    mode: 'produce',
    group: 'follows-group',
    name: 'follows',
    more: { rate: 50, count: 400, prefix: 'f' },
  });
  const sent = () => client.events().filter((event) => event.phase === 'ok').length;
  await expect.poll(sent).toBeGreaterThan(80);
  at.broker.child.kill();
  // The closed connection tells it; nobody waits for the 120 s of silence.
  for (const address of namesOf(at)) {
    await expect.poll(() => brokersAt(address)).toBe(1);
  }
  const before = sent();
  await expect.poll(sent).toBeGreaterThan(before + 60);
  await parts.stop(at.own);
  const events = await client.finished();
  expect(events.filter((event) => event.phase === 'ok').length).toBeGreaterThan(350);
});
