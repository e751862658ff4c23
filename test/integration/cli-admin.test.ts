// `dr admin` as an operator runs it, against a name server and a broker of ours: exit statuses and JSON.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Option } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ADMIN_COMMANDS } from '../../cli/commands/admin/table/index.ts';
import { BROKER_KEYS } from '../../core-broker/broker/index.ts';
import { PushConsumer } from '../../core-broker/client/index.ts';
import { ClientRegion } from '../support/client-region.ts';
import { type DrRun, runDr } from '../support/dr-command.ts';
import { until } from '../support/until.ts';

let region: ClientRegion;
let folder = '';
let broker = '';
beforeAll(async () => {
  region = await ClientRegion.start();
  broker = region.address;
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-admin-'));
  for (const body of ['one', 'two', 'three']) {
    await json('updateTopic', '-c', 'TestCluster', '-t', 'orders', '-r', '4', '-w', '4');
    await json('sendMessage', '-t', 'orders', '-p', body, '-k', body, '-b', 'broker-a', '-i', '1');
  }
});
afterAll(async () => {
  await region.stop();
  fs.rmSync(folder, { recursive: true });
});

const run = (...words: string[]): Promise<DrRun> =>
  runDr(['admin', ...words, '-n', region.nameserver.address]);

/** Runs the action of the table in this process: fifty starts of Node would take a minute. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is what each test looks at.
async function json(...command: string[]): Promise<any> {
  const [name = '', ...words] = command;
  const row = ADMIN_COMMANDS.find((command) => command.name === `admin ${name}`);
  if (row === undefined) throw new Error(`no command ${name}`);
  const namesrvAddr = region.nameserver.address;
  const options: Record<string, unknown> = { namesrvAddr, output: 'json', timeout: 5_000 };
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
  const status = await row
    .load()
    .then((action) => action({ options, args: [] }))
    .finally(() => out.mockRestore());
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${lines.join('')}`);
  return JSON.parse(lines.filter((line) => !line.startsWith('{"level"')).join(''));
}

async function refused(status: number, words: string[], text: RegExp): Promise<void> {
  const done = await run(...words);
  expect({ status: done.status, text: done.stderr + done.stdout }).toEqual({
    status,
    text: expect.stringMatching(text),
  });
}

describe('cluster', () => {
  test('clusterList shows the broker with version and rates', async () => {
    const { brokers, problems } = await json('clusterList');
    const row = { cluster: 'TestCluster', brokerName: 'broker-a', brokerId: '0', address: broker };
    expect(brokers).toEqual([expect.objectContaining({ ...row, version: 'V5_5_0' })]);
    expect(problems).toEqual([]);
    const table = await run('clusterList');
    expect(table.stdout).toMatch(/Cluster .*Broker .*Version/);
  });
  test('brokerStatus and getBrokerConfig give every key', async () => {
    expect((await json('brokerStatus', '-b', broker))[broker].brokerActive).toBe('true');
    expect((await json('getBrokerConfig', '-c', 'TestCluster'))[broker].brokerName).toBe(
      'broker-a',
    );
  });
  test('updateBrokerConfig says when a key did not change', async () => {
    const keys = Object.entries(BROKER_KEYS);
    const key = keys.find(([, row]) => row.kind === 'int' && 'live' in row && row.live)?.[0] ?? '';
    const before = (await json('getBrokerConfig', '-b', broker))[broker][key];
    const value = String(Number(before) + 1);
    const words = ['-b', broker, '-k', key, '-v', value];
    expect(await json('updateBrokerConfig', ...words)).toEqual([{ address: broker, key, value }]);
    const unknown = await run('updateBrokerConfig', '-b', broker, '-k', 'nonsense', '-v', '1');
    expect(unknown.status).not.toBe(0);
  });
  test('name servers: configuration, permissions, key-value table, order', async () => {
    const at = region.nameserver.address;
    expect((await json('getNamesrvConfig'))[at].enableTopicList).toBe('true');
    const words = ['updateNamesrvConfig', '-k', 'orderMessageEnable', '-v', 'true'];
    expect((await json(...words))[0].value).toBe('true');
    expect((await json('wipeWritePerm', '-b', 'broker-a'))[0].topics).toBeGreaterThan(0);
    expect((await json('topicRoute', '-t', 'orders')).queueDatas[0].perm).toBe(4);
    await json('addWritePerm', '-b', 'broker-a');
    expect((await json('topicRoute', '-t', 'orders')).queueDatas[0].perm).toBe(6);
    await json('updateKvConfig', '-s', 'sp', '-k', 'color', '-v', 'blue');
    expect((await json('deleteKvConfig', '-s', 'sp', '-k', 'color')).before).toBe('blue');
    await json('updateOrderConf', '-t', 'orders', '-m', 'put', '-v', 'broker-a:4');
    expect((await json('updateOrderConf', '-t', 'orders', '-m', 'get')).orderConf).toBe(
      'broker-a:4',
    );
    await json('updateOrderConf', '-t', 'orders', '-m', 'delete');
  });
  test('haStatus, producer, clean-ups, exports and send times', async () => {
    expect((await json('haStatus', '-b', broker))[0].address).toBe(broker);
    expect(await json('producer', '-b', broker)).toEqual([]);
    for (const name of ['cleanExpiredCQ', 'cleanUnusedTopic', 'deleteExpiredCommitLog']) {
      expect(await json(name, '-b', broker), name).toEqual([{ address: broker, done: true }]);
    }
    for (const name of ['Metadata', 'Configs', 'Metrics']) {
      const { file } = await json(`export${name}`, '-c', 'TestCluster', '-f', folder);
      expect(JSON.parse(fs.readFileSync(file, 'utf8')).exportTime).toBeGreaterThan(0);
    }
    const metadata = JSON.parse(fs.readFileSync(path.join(folder, 'metadata.json'), 'utf8'));
    expect(Object.keys(metadata.topicConfigTable)).toContain('orders');
    expect((await json('clusterRT', '-a', '2'))[0]).toMatchObject({ sent: 2, failed: 0 });
  });
});

describe('topics and messages', () => {
  test('topicList, topicRoute, topicStatus, topicClusterList, allocateMQ', async () => {
    expect(await json('topicList')).toContain('orders');
    const listed = (await json('topicList', '-c')).map((row: { topic: string }) => row.topic);
    expect(listed).toContain('orders');
    expect((await json('topicRoute', '-t', 'orders')).queueDatas[0].readQueueNums).toBe(4);
    const queues = await json('topicStatus', '-t', 'orders');
    expect(queues).toHaveLength(4);
    expect(queues[1]).toMatchObject({ queueId: 1, minOffset: 0, maxOffset: 3 });
    expect(await json('topicClusterList', '-t', 'orders')).toEqual(['TestCluster']);
    const shares = await json('allocateMQ', '-t', 'orders', '-i', 'a,b');
    expect(shares.map((row: { queues: unknown[] }) => row.queues.length)).toEqual([2, 2]);
  });
  test('a topic is made, restricted and deleted', async () => {
    await json('updateTopic', '-b', broker, '-t', 'short', '-r', '1', '-w', '1', '-o', 'true');
    expect((await json('updateOrderConf', '-t', 'short', '-m', 'get')).orderConf).toBe(
      'broker-a:1',
    );
    expect(await json('updateTopicPerm', '-b', broker, '-t', 'short', '-p', '4')).toEqual([
      { broker, topic: 'short', before: 6, perm: 4 },
    ]);
    await json('deleteTopic', '-c', 'TestCluster', '-t', 'short');
    expect(await json('topicList')).not.toContain('short');
    await refused(10, ['topicStatus', '-t', 'short'], /short has no route/);
  });
  test('messages are found by place, id and unique key, and read in order', async () => {
    const place = ['-t', 'orders', '-b', 'broker-a', '-i', '1'];
    const found = await json('queryMsgByOffset', ...place, '-o', '1');
    expect(found).toMatchObject({ body: 'two', keys: 'two', queueOffset: 1 });
    await refused(10, ['queryMsgByOffset', ...place, '-o', '9'], /holds 0 to 3/);
    const read = await json('consumeMessage', '-t', 'orders', '-c', '2');
    expect(read.map((row: { body: string }) => row.body)).toEqual(['one', 'two']);
    const tail = await json('consumeMessage', ...place, '-o', '2');
    expect(tail.map((row: { body: string }) => row.body)).toEqual(['three']);
    expect(await json('printMsg', '-t', 'orders')).toHaveLength(3);
    const one = ['printMsgByQueue', '-t', 'orders', '-a', 'broker-a', '-i', '1'];
    expect(await json(...one)).toHaveLength(3);
    expect(await json(...one, '-f', 'true')).toEqual([{ tag: '', messages: 3 }]);
    const entries = await json('queryCq', '-t', 'orders', '-q', '1', '-i', '0', '-c', '3');
    expect(entries).toMatchObject({ min: 0, max: 3 });
    expect(entries.entries[1].physicOffset).toBe(found.physicalOffset);
    const text = await run('queryMsgByOffset', ...place, '-o', '0');
    expect(text.stdout).toMatch(/body .* one/);
  });
  test('statsAll and checkMsgSendRT', async () => {
    const [row] = await json('statsAll', '-t', 'orders');
    expect(row).toMatchObject({ topic: 'orders', group: null });
    await json('updateTopic', '-b', broker, '-t', 'timed');
    const words = ['checkMsgSendRT', '-t', 'timed', '-a', '3', '-s', '32'];
    expect(await json(...words)).toMatchObject({ sent: 3, failed: 0 });
  });
});

describe('groups', () => {
  test('a group is made, moved, cloned and deleted', async () => {
    for (const group of ['billing', 'copy']) {
      const [made] = await json('updateSubGroup', '-c', 'TestCluster', '-g', group, '-r', '5');
      expect(made).toMatchObject({ groupName: group, retryMaxTimes: 5 });
    }
    const [kept] = await json('updateSubGroup', '-b', broker, '-g', 'billing', '-q', '2');
    expect(kept).toMatchObject({ retryMaxTimes: 5, retryQueueNums: 2 });
    const reset = await json('resetOffsetByTime', '-g', 'billing', '-t', 'orders', '-s', '0');
    expect(reset.queues[1]).toEqual({
      topic: 'orders',
      brokerName: 'broker-a',
      queueId: 1,
      offset: 0,
    });
    const progress = await json('consumerProgress', '-g', 'billing');
    expect(progress).toMatchObject({ diffTotal: 3, group: 'billing' });
    await json('skipAccumulatedMessage', '-g', 'billing', '-t', 'orders');
    expect((await json('consumerProgress', '-g', 'billing')).diffTotal).toBe(0);
    await json('cloneGroupOffset', '-s', 'billing', '-d', 'copy', '-t', 'orders');
    const copied = await json('consumerProgress', '-g', 'copy', '-t', 'orders');
    expect(copied.queues[1].consumerOffset).toBe(3);
    const stats = await json('brokerConsumeStats', '-b', broker);
    const groups = new Set(stats.queues.map((row: { group: string }) => row.group));
    expect([...groups]).toEqual(expect.arrayContaining(['billing', 'copy']));
    await json('deleteSubGroup', '-c', 'TestCluster', '-g', 'copy', '-r', 'true');
    await refused(10, ['consumerProgress', '-g', 'copy'], /no group copy/);
    await refused(10, ['consumerConnection', '-g', 'billing'], /no member .* online/);
    await refused(10, ['consumerStatus', '-g', 'billing'], /no member .* online/);
    await refused(10, ['producerConnection', '-g', 'shop', '-t', 'orders'], /no producer/);
    expect(await json('consumerProgress')).toEqual(expect.any(Array));
  });
  test('members of a live group and producers are listed', async () => {
    const group = 'live';
    const consumer = new PushConsumer({
      nameservers: region.nameservers,
      group,
      topics: { orders: '*' },
      onMessage: () => true,
    });
    await consumer.start();
    try {
      await until(
        async () => (await run('consumerConnection', '-g', group)).status === 0,
        'member',
      );
      const members = await json('consumerConnection', '-g', group);
      expect(members).toMatchObject({
        messageModel: 'CLUSTERING',
        connections: [{ language: 'JAVA' }],
      });
      expect(members.subscriptions.orders.subString).toBe('*');
      const progress = await json('consumerProgress', '-g', group, '-t', 'orders');
      expect(progress.queues.length).toBeGreaterThan(0);
    } finally {
      await consumer.stop();
    }
  });
});

describe('mistakes', () => {
  test.each<[string, number, string[], RegExp]>([
    ['a command', 2, ['clusterLst'], /Did you mean clusterList\?/],
    ['an option', 2, ['topicRoute', '--topc', 'x'], /Did you mean --topic\?/],
    ['no option', 2, ['topicRoute'], /-t, --topic <topic> is required/],
    ['no broker', 2, ['brokerStatus'], /-b HOST:PORT, or -c CLUSTER/],
    ['a broker name as address', 2, ['brokerStatus', '-b', 'broker-a'], /not host:port/],
    ['a number', 2, ['checkMsgSendRT', '-t', 'orders', '-a', 'ten'], /whole number/],
    ['a flag', 2, ['printMsg', '-t', 'orders', '-d', 'maybe'], /true or false/],
    ['a permission', 2, ['updateTopicPerm', '-c', 'X', '-t', 'orders', '-p', '9'], /2 \(write\)/],
    ['a topic name', 2, ['updateTopic', '-c', 'TestCluster', '-t', 'a.b'], /letters, digits/],
    ['a time', 2, ['resetOffsetByTime', '-g', 'g', '-t', 'orders', '-s', 'soon'], /not a time/],
    ['a cluster', 10, ['clusterList', '-c', 'Nope'], /known clusters: TestCl/],
    ['a topic', 10, ['topicRoute', '-t', 'ordres'], /topicList names every topic/],
    ['a group', 10, ['consumerProgress', '-g', 'biling'], /no group biling/],
    ['a broker name', 10, ['wipeWritePerm', '-b', 'broker-b'], /registered brokers: broker-a/],
    ['a queue', 10, ['consumeMessage', '-t', 'orders', '-i', '9'], /its queues: broker-a:0/],
    ['an id', 2, ['queryMsgById', '-i', 'xyz'], /not an offset message id/],
    ['a method', 2, ['updateOrderConf', '-t', 'orders', '-m', 'set'], /not get, put or delete/],
    ['a mode', 2, ['setConsumeMode', '-b', '1:1', '-t', 'o', '-g', 'g', '-m', 'x'], /PULL or POP/],
  ])('%s', (_name, status, words, text) => refused(status, words, text));

  test('the case of a command does not matter', async () => {
    expect((await run('TOPICROUTE', '-t', 'orders')).status).toBe(0);
  });
  test('no name server, a wrong one, and one that is down', async () => {
    const none = await runDr(['admin', 'clusterList', '-o', 'json']);
    expect(none.status).toBe(2);
    expect(JSON.parse(none.stdout).error.hint).toContain('NAMESRV_ADDR');
    expect((await runDr(['admin', 'clusterList', '-n', 'localhost'])).status).toBe(2);
    expect((await runDr(['admin', 'clusterList', '-n', '127.0.0.1:1'])).status).toBe(13);
  });
});
