// Apache's mqadmin 5.5.0 and 4.9.7 against our region and, with the same state, against a stock region of
// its own version: each command prints the same but for what cannot be equal (addresses, times, rates).
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../cli/demo/process.ts';
import { type Broker, createBroker } from '../../core-broker/broker/index.ts';
import {
  createNameServer,
  type NameServer,
  regionalConfig,
} from '../../core-broker/nameserver/index.ts';
import { encodeHost, formatOffsetMsgId, RequestCode } from '../../core-broker/protocol/index.ts';
import { pullFields, sendFields, testConfig } from '../support/broker-fixture.ts';
import { heartbeatRequest } from '../support/stock/frame-session.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import {
  commitRequest,
  GROUP,
  groupRequest,
  ORDERS,
  runWorkload,
  topicRequest,
  uniqueKey,
} from '../support/stock/workload.ts';
import { until } from '../support/until.ts';
import { AdminLoop } from './exchange/admin-loop.ts';
import { normalised, settingsIn, withoutNewerParts } from './exchange/admin-text.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

/** Keys whose value depends on the machine or on nothing that is here. */
const NO_DEFAULT = /Nums$|^(rocketmq|store|namesrv|metrics|messageStorePlugIn$|controllerAddr$)/;

/** The live client, and what it says of itself when a broker passes the question on. */
const MEMBER = '127.0.0.1@4711';
const RUNNING_INFO = JSON.stringify({
  mqTable: {},
  properties: {
    PROP_CLIENT_VERSION: 'V4_9_7',
    PROP_CONSUME_ORDERLY: 'false',
    PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY',
    PROP_CONSUMER_START_TIMESTAMP: '1700000000000',
    PROP_NAMESERVER_ADDR: 'somewhere;',
    PROP_THREADPOOL_CORE_SIZE: '20',
  },
  statusTable: {},
  subscriptionSet: [],
});

const stringly = (fields: object): Record<string, string> => fields as Record<string, string>;

interface Region {
  nameserver: string;
  broker: string;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-mqadmin-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

describe.each<ServerVersion>(['5.5.0', '4.9.7'])('mqadmin %s', (version) => {
  const wire = new TapWire();
  let loop: AdminLoop;
  let stockNameserver: RunningServer;
  let stockBroker: RunningServer;
  let nameserver: NameServer;
  let broker: Broker;
  let stock: Region;
  let ours: Region;

  beforeAll(async () => {
    const at = { version, folder: path.join(folder, `ns-${version}`), port: await freePort() };
    [stockNameserver, loop] = await Promise.all([
      startNameserver(at),
      AdminLoop.start(version, path.join(folder, `tools-${version}`)),
    ]);
    stockBroker = await startBroker({
      version,
      folder: path.join(folder, `stock-${version}`),
      port: await freePort(true),
      namesrv: stockNameserver.address,
    });
    stock = { nameserver: stockNameserver.address, broker: stockBroker.address };
    const root = path.join(folder, `ours-${version}`);
    nameserver = createNameServer({
      config: regionalConfig({
        bindAddress: '127.0.0.1',
        listenPort: 0,
        configStorePath: path.join(root, 'namesrv.properties'),
        kvConfigPath: path.join(root, 'kvConfig.json'),
      }),
    });
    await nameserver.start();
    broker = createBroker({
      config: testConfig(path.join(root, 'store'), {
        brokerClusterName: 'DefaultCluster',
        namesrvAddr: nameserver.address,
      }),
    });
    await broker.start();
    ours = { nameserver: nameserver.address, broker: broker.address };
    await Promise.all([prepare(stock), prepare(ours)]);
  });
  afterAll(async () => {
    wire.close();
    await loop?.stop();
    await broker?.stop();
    await nameserver?.stop();
    for (const server of [stockBroker, stockNameserver]) {
      server?.child.kill();
      await server?.child.exited;
    }
  });

  /** The same messages, offsets and one live client. */
  async function prepare(region: Region): Promise<void> {
    await runWorkload(wire, region.broker, { from: 0, big: 4, transactions: false });
    await wire.call(region.broker, commitRequest(`%RETRY%${GROUP}`, 0, 1));
    await wire.call(region.broker, topicRequest('fx-plain', 2));
    await wire.call(region.broker, groupRequest('fx-idle'));
    await wire.call(region.broker, heartbeatRequest(MEMBER));
    for (const topic of ['fx-plain', `%RETRY%${GROUP}`, ORDERS]) {
      const isKnown = async () => {
        const ask = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic } };
        return (await wire.invoke(region.nameserver, ask)).code === 0;
      };
      await until(isKnown, `route of ${topic}`, 60_000);
    }
  }

  const run = (region: Region, command: string, args: string[]) =>
    loop.run(command, [
      '-n',
      region.nameserver,
      ...args.map((arg) => arg.replace('BROKER', region.broker)),
    ]);

  function plain(text: string, region: Region): string[] {
    const lines = normalised(text, region);
    return version === '4.9.7' ? lines.map(withoutNewerParts) : lines;
  }

  /** Both texts of one command without what differs between any two regions. */
  async function both(command: string, ...args: string[]): Promise<[string[], string[]]> {
    const theirs = await run(stock, command, args);
    const mine = await run(ours, command, args);
    return [plain(theirs, stock), plain(mine, ours)];
  }

  async function expectSame(command: string, ...args: string[]): Promise<string[]> {
    const [theirs, mine] = await both(command, ...args);
    expect(theirs.join('\n')).not.toMatch(/Exception|\[error\]/);
    expect(mine).toEqual(theirs);
    return mine;
  }

  test('clusterList', async () => {
    const [theirs, mine] = await both('clusterList');
    // The timer's delay is one second now and then with both.
    const strip = (lines: string[]) => lines.map((line) => line.replace(/ \d+-\d+\(/, ' TIMER('));
    expect(strip(mine)).toEqual(strip(theirs));
    expect(mine.join('\n')).toContain('DefaultCluster broker-a 0');
  });
  test('topicList', async () => {
    const [theirs, mine] = await both('topicList');
    const users = (lines: string[]) =>
      lines.filter((line) => /^(fx-|%|BenchmarkTest|SCHED)/.test(line));
    expect(users(mine).sort()).toEqual(users(theirs).sort());
    expect(mine).toContain(ORDERS);
  });
  test('topicStatus', () => expectSame('topicStatus', '-t', ORDERS));
  test('topicRoute', () => expectSame('topicRoute', '-t', ORDERS));
  test('brokerStatus', async () => {
    const [theirs, mine] = [
      settingsIn(await run(stock, 'brokerStatus', ['-b', 'BROKER']), ':'),
      settingsIn(await run(ours, 'brokerStatus', ['-b', 'BROKER']), ':'),
    ];
    const general = (key: string) =>
      !/^(timer|scheduleMessageOffset_|commitLogDiskRatio_|putMessageDistributeTime)/.test(key);
    const lacking = [...theirs.keys()].filter((key) => general(key) && !mine.has(key));
    expect(lacking).toEqual([]);
    for (const key of ['brokerActive', 'dispatchBehindBytes', 'remainHowManyDataToFlush']) {
      if (theirs.has(key)) expect(mine.get(key), key).toBe(theirs.get(key));
    }
  });
  test('updateTopic', async () => {
    const args = ['-c', 'DefaultCluster', '-t', 'fx-made', '-r', '6', '-w', '5', '-p', '6'];
    await expectSame('updateTopic', ...args);
    await expectSame('updateTopic', '-b', 'BROKER', '-t', 'fx-made', '-r', '3', '-w', '3');
  });
  test('updateSubGroup', async () => {
    await expectSame('updateSubGroup', '-c', 'DefaultCluster', '-g', 'fx-made-group', '-r', '5');
  });
  test('consumerProgress', async () => {
    const lines = await expectSame('consumerProgress', '-g', GROUP);
    expect(lines.join('\n')).toMatch(/fx-orders broker-a 0 \d+ 3/);
  });
  test('consumerConnection', () => expectSame('consumerConnection', '-g', GROUP));
  test('topics named %LMQ% are ordinary ones while enableLmq=false', async () => {
    const codes = async ({ broker: at }: Region) => {
      const name = '%LMQ%fx';
      const pulled = () =>
        wire.invoke(at, { code: RequestCode.PULL_MESSAGE, ext: stringly(pullFields(name, 0)) });
      const send = { ext: stringly(sendFields(name)), body: Buffer.from('m') };
      const unknown = (await pulled()).code;
      const sent = (await wire.invoke(at, { code: RequestCode.SEND_MESSAGE_V2, ...send })).code;
      return { unknown, sent, known: (await wire.invoke(at, topicRequest('%LMQ%made', 1))).code };
    };
    expect(await codes(ours)).toEqual(await codes(stock));
  });
  test('consumerStatus, of the group and of one member', async () => {
    wire.answers.set(RequestCode.GET_CONSUMER_RUNNING_INFO, RUNNING_INFO);
    const lines = await expectSame('consumerStatus', '-g', GROUP);
    // 4.9.7 calls the subscriptions of a single member different; both programs find a member and judge.
    expect(lines.join('\n')).toMatch(/(Same|Different) subscription in the same group of consumer/);
    if (version === '4.9.7') return;
    const one = await expectSame('consumerStatus', '-g', GROUP, '-i', MEMBER);
    expect(one.join('\n')).toMatch(/PROP_CONSUME_ORDERLY\s*: false/);
  });
  test('producerConnection', () =>
    expectSame('producerConnection', '-g', 'fx-producers', '-t', ORDERS));
  test('getBrokerConfig', async () => {
    const args = ['-b', 'BROKER'];
    const theirs = settingsIn(await run(stock, 'getBrokerConfig', args), '=');
    const mine = settingsIn(await run(ours, 'getBrokerConfig', args), '=');
    expect(mine.size).toBeGreaterThan(40);
    for (const key of ['brokerName', 'brokerClusterName', 'brokerId', 'brokerRole', 'brokerIP1']) {
      expect(mine.get(key), key).toBe(theirs.get(key));
    }
    for (const key of ['messageDelayLevel', 'maxMessageSize', 'flushDiskType', 'deleteWhen']) {
      expect(mine.get(key), key).toBe(theirs.get(key));
    }
  });
  test('sendMessage', async () => {
    const place = ['-t', 'fx-plain', '-b', 'broker-a', '-i', '1'];
    await expectSame('sendMessage', ...place, '-p', 'hello', '-k', 'sent', '-c', 'TagS');
    await expectSame('sendMessage', ...place, '-p', 'again');
  });
  test('consumeMessage', async () => {
    const queue = ['-b', 'broker-a', '-i', '0', '-o', '0', '-c', '5', '-g', 'fx-tool'];
    const [theirs, mine] = await both('consumeMessage', '-t', ORDERS, ...queue);
    const messages = (lines: string[]) => lines.filter((line) => line.includes('MSGID'));
    expect(messages(mine)).toHaveLength(5);
    expect(messages(mine)).toEqual(messages(theirs));
  });
  test('queryMsgById', async () => {
    const idOf = async (region: Region) => {
      const port = Number(region.broker.split(':')[1]);
      const text = await run(region, 'queryMsgById', [
        ...(version === '4.9.7' ? [] : ['-t', ORDERS]),
        '-i',
        formatOffsetMsgId(encodeHost('127.0.0.1', port), 0),
      ]);
      return plain(text, region);
    };
    const mine = await idOf(ours);
    expect(mine).toEqual(await idOf(stock));
    expect(mine.join('\n')).toMatch(/Keys: \[?order-0 pair-0/);
  });
  test('queryMsgByKey', async () => {
    const lines = await expectSame('queryMsgByKey', '-t', ORDERS, '-k', 'pair-0');
    expect(lines.length).toBe(9);
  });
  test('queryMsgByOffset', () =>
    expectSame('queryMsgByOffset', '-t', ORDERS, '-b', 'broker-a', '-i', '1', '-o', '3'));
  test('queryMsgByUniqueKey', async () => {
    const lines = await expectSame('queryMsgByUniqueKey', '-t', ORDERS, '-i', uniqueKey(7));
    expect(lines.join('\n')).toMatch(/Keys: \[?order-7/);
  });
  test('wipeWritePerm and addWritePerm', async () => {
    const strip = (lines: string[]) => lines.map((line) => line.replace(/OK, \d+/, 'OK'));
    for (const command of ['wipeWritePerm', 'addWritePerm']) {
      const [theirs, mine] = await both(command, '-b', 'broker-a');
      expect(strip(mine)).toEqual(strip(theirs));
      expect(mine.join('\n')).toContain('OK');
      await expectSame('topicRoute', '-t', ORDERS);
    }
  });
  test('statsAll', async () => {
    const [theirs, mine] = await both('statsAll', '-t', ORDERS);
    // Behind the rates: messages of the last 24 hours, sampled every 10 s.
    const strip = (lines: string[]) => lines.map((line) => line.replace(/ \d+ \d+$/, ''));
    expect(strip(mine)).toEqual(strip(theirs));
  });
  test('brokerConsumeStats', async () => {
    const [theirs, mine] = await both('brokerConsumeStats', '-b', 'BROKER');
    const rows = (lines: string[]) => lines.filter((line) => line.startsWith('fx-')).sort();
    expect(rows(mine)).toEqual(rows(theirs));
    expect(rows(mine)).toHaveLength(4);
  });
  test('queryCq', () =>
    expectSame('queryCq', '-t', ORDERS, '-q', '0', '-i', '0', '-c', '4', '-b', 'BROKER'));
  // 4.9 has no such command.
  if (version === '5.5.0') {
    test('haStatus', async () => {
      const [theirs, mine] = await both('haStatus', '-b', 'BROKER');
      const strip = (lines: string[]) =>
        lines.map((line) => line.replace(/MaxOffset \d+/, 'MaxOffset'));
      expect(strip(mine)).toEqual(strip(theirs));
    });
  }
  test('consumerProgress of all groups', async () => {
    const [theirs, mine] = await both('consumerProgress');
    const rows = (lines: string[]) => lines.filter((line) => line.startsWith('fx-')).sort();
    expect(rows(mine)).toEqual(rows(theirs));
    expect(rows(mine).join('\n')).toContain(GROUP);
  });
  test('topicClusterList', () => expectSame('topicClusterList', '-t', ORDERS));
  test('updateTopicPerm', async () => {
    await expectSame('updateTopicPerm', '-b', 'BROKER', '-t', 'fx-plain', '-p', '4');
    await expectSame('updateTopicPerm', '-b', 'BROKER', '-t', 'fx-plain', '-p', '6');
  });
  test('updateOrderConf', async () => {
    const args = ['-t', 'fx-plain', '-v', 'broker-a:2'];
    for (const method of ['put', 'get', 'delete']) {
      await expectSame('updateOrderConf', '-m', method, ...args);
    }
  });
  test('updateKvConfig and deleteKvConfig', async () => {
    await expectSame('updateKvConfig', '-s', 'FX', '-k', 'key', '-v', 'value');
    await expectSame('deleteKvConfig', '-s', 'FX', '-k', 'key');
  });
  test('getNamesrvConfig', async () => {
    const theirs = settingsIn(await run(stock, 'getNamesrvConfig', []), '=');
    const mine = settingsIn(await run(ours, 'getNamesrvConfig', []), '=');
    const shared = ['orderMessageEnable', 'serverChannelMaxIdleTimeSeconds', 'kvConfigPath'];
    for (const key of shared) expect([...mine.keys()], key).toContain(key);
    expect(mine.get('orderMessageEnable')).toBe(theirs.get('orderMessageEnable'));
  });
  test('updateBrokerConfig', async () => {
    const set = (value: string) =>
      expectSame('updateBrokerConfig', '-b', 'BROKER', '-k', 'longPollingEnable', '-v', value);
    await set('false');
    const args = ['-b', 'BROKER'];
    for (const region of [stock, ours]) {
      const shown = settingsIn(await run(region, 'getBrokerConfig', args), '=');
      expect(shown.get('longPollingEnable')).toBe('false');
    }
    await set('true');
    // A key nobody knows is a success with both.
    await expectSame('updateBrokerConfig', '-b', 'BROKER', '-k', 'nobodyKnows', '-v', '1');
  });
  test('getBrokerConfig shows every key that the stock broker shows', async () => {
    const args = ['-b', 'BROKER'];
    const theirs = settingsIn(await run(stock, 'getBrokerConfig', args), '=');
    const mine = settingsIn(await run(ours, 'getBrokerConfig', args), '=');
    const lacking = [...theirs.keys()].filter((key) => !mine.has(key));
    expect(lacking.filter((key) => !NO_DEFAULT.test(key))).toEqual([]);
  });
  test('cloneGroupOffset', async () => {
    await expectSame('cloneGroupOffset', '-s', GROUP, '-d', 'fx-idle', '-t', ORDERS, '-o', 'true');
    const offsetAt = async (region: Region) => {
      const ext = { consumerGroup: 'fx-idle', topic: ORDERS, queueId: 1 };
      const asked = { code: RequestCode.QUERY_CONSUMER_OFFSET, ext };
      return (await wire.call(region.broker, asked)).ext['offset'];
    };
    expect(await offsetAt(ours)).toBe(await offsetAt(stock));
  });
  test('resetOffsetByTime', async () => {
    const args = ['-g', GROUP, '-t', ORDERS, '-s', '1000'];
    const [theirs, mine] = await both('resetOffsetByTime', ...args);
    expect([...mine].sort()).toEqual([...theirs].sort());
  });
  test('cleanExpiredCQ, cleanUnusedTopic', async () => {
    await expectSame('cleanExpiredCQ', '-b', 'BROKER');
    await expectSame('cleanUnusedTopic', '-b', 'BROKER');
  });
  test('brokerStatus counts what the workload sent', async () => {
    const figures = async (region: Region) =>
      settingsIn(await run(region, 'brokerStatus', ['-b', 'BROKER']), ':');
    const [theirs, mine] = [await figures(stock), await figures(ours)];
    for (const key of ['putMessageFailedTimes', 'msgPutTotalTodayMorning']) {
      expect(mine.get(key), key).toBe(theirs.get(key));
    }
    for (const key of ['putMessageTimesTotal', 'putMessageSizeTotal', 'msgPutTotalTodayNow']) {
      expect(Number(mine.get(key)), key).toBeGreaterThan(0);
    }
    expect(mine.get('runtime')).toMatch(/^\[ \d+ days, \d+ hours, \d+ minutes, \d+ seconds \]$/);
    for (const key of ['putTps', 'getFoundTps', 'getMissTps', 'getTotalTps']) {
      expect(mine.get(key), key).toMatch(/^[\d.E-]+ [\d.E-]+ [\d.E-]+$/);
    }
  });
  test.each(['exportMetadata', 'exportConfigs', 'exportMetrics'])('%s', async (command) => {
    const texts = [];
    for (const region of [stock, ours]) {
      const target = path.join(folder, `${command}-${version}-${region === ours ? 'o' : 's'}`);
      fs.mkdirSync(target, { recursive: true });
      const text = await run(region, command, ['-c', 'DefaultCluster', '-f', target]);
      const [written = ''] = fs.readdirSync(target);
      const made = JSON.parse(fs.readFileSync(path.join(target, written), 'utf8'));
      texts.push([text.replaceAll(target, 'DIR').trim(), Object.keys(made).sort()]);
    }
    expect(texts[1]).toEqual(texts[0]);
  });
  // 4.9 has no such command.
  if (version === '5.5.0') {
    test('setConsumeMode', async () => {
      const args = ['-t', ORDERS, '-g', GROUP, '-m', 'PULL', '-q', '1'];
      await expectSame('setConsumeMode', '-b', 'BROKER', ...args);
    });
  }
  test('deleteSubGroup', async () => {
    await expectSame('deleteSubGroup', '-b', 'BROKER', '-g', 'fx-made-group', '-r', 'true');
  });
  test('deleteTopic', async () => {
    await expectSame('deleteTopic', '-c', 'DefaultCluster', '-t', 'fx-made');
    await expectSame('deleteTopic', '-c', 'DefaultCluster', '-t', 'fx-plain');
    const [, mine] = await both('topicList');
    expect(mine).not.toContain('fx-plain');
  });
});
