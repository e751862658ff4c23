// `dr admin` against stock regions of 4.9.7 and 5.5.0: the read commands give the numbers that mqadmin of
// the same version prints about the same region, and the writing ones do what they say.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Option } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ADMIN_COMMANDS } from '../../cli/commands/admin/table/index.ts';
import { freePort } from '../../cli/demo/process.ts';
import { RequestCode } from '../../core-broker/protocol/index.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import {
  commitRequest,
  GROUP,
  groupRequest,
  ORDERS,
  runWorkload,
  uniqueKey,
} from '../support/stock/workload.ts';
import { until } from '../support/until.ts';
import { AdminLoop } from './exchange/admin-loop.ts';
import { settingsIn } from './exchange/admin-text.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-admin-stock-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

describe.each<ServerVersion>(['5.5.0', '4.9.7'])('dr admin against %s', (version) => {
  const wire = new TapWire();
  let loop: AdminLoop;
  let nameserver: RunningServer;
  let broker: RunningServer;

  beforeAll(async () => {
    const at = { version, folder: path.join(folder, `ns-${version}`), port: await freePort() };
    [nameserver, loop] = await Promise.all([
      startNameserver(at),
      AdminLoop.start(version, path.join(folder, `tools-${version}`)),
    ]);
    broker = await startBroker({
      version,
      folder: path.join(folder, `broker-${version}`),
      port: await freePort(true),
      namesrv: nameserver.address,
    });
    await runWorkload(wire, broker.address, { from: 0, big: 4, transactions: false });
    await wire.call(broker.address, commitRequest(`%RETRY%${GROUP}`, 0, 1));
    await wire.call(broker.address, groupRequest('fx-idle'));
    for (const topic of [`%RETRY%${GROUP}`, ORDERS]) {
      const ask = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic } };
      const isKnown = async () => (await wire.invoke(nameserver.address, ask)).code === 0;
      await until(isKnown, `route of ${topic}`, 60_000);
    }
  });
  afterAll(async () => {
    wire.close();
    await loop?.stop();
    for (const server of [broker, nameserver]) {
      server?.child.kill();
      await server?.child.exited;
    }
  });

  // biome-ignore lint/suspicious/noExplicitAny: the shape is what each test looks at.
  async function json(name: string, line = ''): Promise<any> {
    const row = ADMIN_COMMANDS.find((command) => command.name === `admin ${name}`);
    if (row === undefined) throw new Error(`no command ${name}`);
    const namesrvAddr = nameserver.address;
    const options: Record<string, unknown> = { namesrvAddr, output: 'json', timeout: 10_000 };
    const words = line
      .replace('BROKER', broker.address)
      .split(' ')
      .filter((word) => word !== '');
    for (let at = 0; at < words.length; at++) {
      const found = row.options?.map((option) => new Option(option.flags));
      const option = found?.find(({ short }) => short === words[at]);
      if (option === undefined) throw new Error(`${name} has no ${words[at]}`);
      options[option.attributeName()] = option.required ? words[++at] : true;
    }
    const lines: string[] = [];
    const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      lines.push(String(text));
      return true;
    });
    const action = await row.load();
    const status = await action({ options, args: [] }).finally(() => out.mockRestore());
    expect(status, name).toBe(0);
    return JSON.parse(lines.join(''));
  }

  const mqadmin = (command: string, line = ''): Promise<string> =>
    loop.run(command, [
      '-n',
      nameserver.address,
      ...line
        .replace('BROKER', broker.address)
        .split(' ')
        .filter((word) => word !== ''),
    ]);

  /** Rows of mqadmin's table that begin with a word. */
  async function rowsOf(first: string, command: string, line: string): Promise<string[][]> {
    const text = await mqadmin(command, line);
    const rows = text.split('\n').map((row) => row.trim().split(/\s+/));
    return rows.filter((row) => row[0] === first);
  }

  test('clusterList and brokerStatus', async () => {
    const [row] = (await json('clusterList')).brokers;
    const [theirs = []] = await rowsOf('DefaultCluster', 'clusterList', '');
    expect([row.cluster, row.brokerName, row.brokerId, row.address, row.version]).toEqual(
      theirs.slice(0, 5),
    );
    const mine = (await json('brokerStatus', '-b BROKER'))[broker.address];
    const settings = settingsIn(await mqadmin('brokerStatus', '-b BROKER'), ':');
    for (const key of ['brokerVersionDesc', 'commitLogMaxOffset', 'msgPutTotalTodayNow']) {
      expect(mine[key], key).toBe(settings.get(key));
    }
  });
  test('topicList and topicRoute', async () => {
    const theirs = (await mqadmin('topicList')).split('\n').map((line) => line.trim());
    const mine: string[] = await json('topicList');
    expect(mine.filter((name) => !theirs.includes(name))).toEqual([]);
    const route = await json('topicRoute', `-t ${ORDERS}`);
    expect(route.brokerDatas[0].brokerAddrs['0']).toBe(broker.address);
  });
  test('topicStatus', async () => {
    const theirs = await rowsOf('broker-a', 'topicStatus', `-t ${ORDERS}`);
    const mine = await json('topicStatus', `-t ${ORDERS}`);
    const rows = mine.map((row: Record<string, unknown>) =>
      [row['brokerName'], row['queueId'], row['minOffset'], row['maxOffset']].map(String),
    );
    expect(rows).toEqual(theirs.map((row) => row.slice(0, 4)));
    expect(rows.length).toBeGreaterThan(0);
  });
  test('consumerProgress', async () => {
    const theirs = await rowsOf(ORDERS, 'consumerProgress', `-g ${GROUP}`);
    const mine = await json('consumerProgress', `-g ${GROUP}`);
    const rows = mine.queues
      .filter((row: { topic: string }) => row.topic === ORDERS)
      .map((row: Record<string, unknown>) =>
        ['topic', 'brokerName', 'queueId', 'brokerOffset', 'consumerOffset'].map((key) =>
          String(row[key]),
        ),
      );
    const byQueue = (left: string[], right: string[]) => Number(left[2]) - Number(right[2]);
    expect(rows).toEqual(theirs.map((row) => row.slice(0, 5)).sort(byQueue));
    expect(rows.length).toBeGreaterThan(0);
  });
  test('getBrokerConfig and getNamesrvConfig', async () => {
    const mine = (await json('getBrokerConfig', '-b BROKER'))[broker.address];
    const theirs = settingsIn(await mqadmin('getBrokerConfig', '-b BROKER'), '=');
    for (const key of ['brokerName', 'deleteWhen', 'maxMessageSize', 'messageDelayLevel']) {
      expect(mine[key], key).toBe(theirs.get(key));
    }
    expect((await json('getNamesrvConfig'))[nameserver.address].listenPort).toBeDefined();
  });
  test('queryMsgByOffset, queryMsgByKey, queryMsgByUniqueKey, queryMsgById', async () => {
    const found = await json('queryMsgByOffset', `-t ${ORDERS} -b broker-a -i 1 -o 3`);
    const text = await mqadmin('queryMsgByOffset', `-t ${ORDERS} -b broker-a -i 1 -o 3`);
    const theirs = settingsIn(text, ':');
    expect(String(found.physicalOffset)).toBe(theirs.get('CommitLog Offset'));
    const pairs = await json('queryMsgByKey', `-t ${ORDERS} -k pair-0`);
    const listed = (await mqadmin('queryMsgByKey', `-t ${ORDERS} -k pair-0`)).split('\n');
    expect(pairs).toHaveLength(listed.filter((line) => /^[0-9A-F]{32}/.test(line)).length);
    const unique = await json('queryMsgByUniqueKey', `-t ${ORDERS} -i ${uniqueKey(7)}`);
    expect(unique.keys).toContain('order-7');
    const [host = '', port = ''] = broker.address.split(':');
    const ip = host.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    const tail = unique.physicalOffset.toString(16).padStart(16, '0');
    const id = `${ip.join('')}${Number(port).toString(16).padStart(8, '0')}${tail}`.toUpperCase();
    expect((await json('queryMsgById', `-i ${id}`)).msgId).toBe(uniqueKey(7));
  });
  test('queryCq, statsAll, brokerConsumeStats', async () => {
    const cq = await json('queryCq', `-t ${ORDERS} -q 0 -i 0 -c 4 -b BROKER`);
    const text = await mqadmin('queryCq', `-t ${ORDERS} -q 0 -i 0 -c 4 -b BROKER`);
    const sizes = [...text.matchAll(/physicSize=(\d+)/g)].map(([, size]) => Number(size));
    expect(cq.entries.map((row: { physicSize: number }) => row.physicSize)).toEqual(sizes);
    expect((await json('statsAll', `-t ${ORDERS}`))[0].topic).toBe(ORDERS);
    const stats = await json('brokerConsumeStats', '-b BROKER');
    const total = /Diff Total: (\d+)/.exec(await mqadmin('brokerConsumeStats', '-b BROKER'))?.[1];
    expect(String(stats.diffTotal)).toBe(total);
  });
  test('a topic and a group are made, used, moved and deleted', async () => {
    await json('updateTopic', '-b BROKER -t fx-dr -r 2 -w 2');
    const isKnown = () =>
      json('topicRoute', '-t fx-dr').then(
        () => true,
        () => false,
      );
    await until(isKnown, 'the route of fx-dr', 60_000);
    await json('sendMessage', '-t fx-dr -p hello -k greeting -b broker-a -i 1');
    const read = await json('consumeMessage', '-t fx-dr');
    expect(read.map((row: { body: string }) => row.body)).toEqual(['hello']);
    const [made] = await json('updateSubGroup', '-b BROKER -g fx-dr-group -r 3');
    expect(made.retryMaxTimes).toBe(3);
    const moved = await json('resetOffsetByTime', `-g ${GROUP} -t ${ORDERS} -s 1000`);
    expect(moved.queues.length).toBeGreaterThan(0);
    const words = '-b BROKER -k fileReservedTime -v 71';
    expect((await json('updateBrokerConfig', words))[0].value).toBe('71');
    await json('deleteSubGroup', '-b BROKER -g fx-dr-group');
    await json('deleteTopic', '-c DefaultCluster -t fx-dr');
    expect(await json('topicList')).not.toContain('fx-dr');
  });
});
