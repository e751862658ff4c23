// How a broker keeps itself known: several name servers that do not talk to each other, one of them slow
// or restarted empty, where their addresses come from, and what a registration carries.
import * as http from 'node:http';
import * as net from 'node:net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../core-broker/base/index.ts';
import { type BrokerConfigValues, brokerConfig } from '../../core-broker/broker/index.ts';
import { TopicTable } from '../../core-broker/broker/metadata/topic-table.ts';
import { RegistrationService } from '../../core-broker/broker/registration/index.ts';
import { createPeerClient, RouteCache } from '../../core-broker/client/index.ts';
import {
  decodeKvTable,
  decodeRegisterBody,
  decodeTopicRoute,
  newTopicConfig,
  type RemotingCommand,
  type ResponseInit,
} from '../../core-broker/protocol/index.ts';
import { RemotingServer, RequestDispatcher } from '../../core-broker/remoting/index.ts';
import { startBroker } from '../support/broker-fixture.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';
import { registerRequest, registration } from '../support/registration.ts';

const parts = new DrParts();
const services: RegistrationService[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
});
afterAll(() => parts.close());

let serial = 0;
function brokerSide(values: Partial<BrokerConfigValues>, topicNames = ['orders', 'TBW102']) {
  const config = brokerConfig({ brokerName: 'broker-a', brokerClusterName: 'C', ...values });
  const store = { topic: (name: string) => ({ name, bytes: Buffer.from(name) }) as never };
  const topics = new TopicTable(`${parts.folder}/topics-${serial++}.json`, store, systemClock);
  topics.put(...topicNames.map((name) => newTopicConfig(name, 4)));
  const service = new RegistrationService({
    config,
    tables: { topics },
    clock: systemClock,
    addresses: () => ({ broker: '10.0.0.1:10911', ha: '10.0.0.1:10912' }),
    resolve: async (host) => (host === 'names.example' ? ['127.0.0.1'] : []),
  });
  services.push(service);
  return { config, topics, service };
}

async function routeAt(address: string, topic: string) {
  const answer = await parts.peer.invoke(address, { code: 105, ext: { topic } }, 20_000);
  return answer.code === 0 ? decodeTopicRoute(answer.body) : undefined;
}
const hasRoute = async (address: string, topic = 'orders') =>
  (await routeAt(address, topic)) !== undefined;

/** A name server that records what it is asked and answers as told. */
async function recording(
  answer: (request: RemotingCommand) => ResponseInit | Promise<ResponseInit>,
) {
  const seen: RemotingCommand[] = [];
  const handle = (request: RemotingCommand) => {
    seen.push({ ...request, ...(request.body && { body: Buffer.from(request.body) }) });
    return answer(request);
  };
  const handlers = new Map([103, 104, 217, 322].map((code) => [code, handle] as const));
  const toResponse = () => ({ code: 1 });
  const listener = new RequestDispatcher({ handlers, toResponse });
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener });
  const port = await server.listen();
  const service = { start: async () => undefined, stop: () => server.close() };
  await parts.run(service);
  return {
    address: `127.0.0.1:${port}`,
    seen,
    codes: () => seen.map((each) => each.code),
    connections: () => server.connections.size,
  };
}

test.each([false, true])(
  'who makes a topic is answered when it has a route (%s)',
  async (alone) => {
    let held: PromiseWithResolvers<void> | undefined;
    const code = alone ? 217 : 103;
    const ns = await recording(async (request) => {
      if (request.code === code) await held?.promise;
      return { code: 0 };
    });
    const region = await startBroker({ namesrvAddr: ns.address, enableSingleTopicRegister: alone });
    held = Promise.withResolvers();
    const before = ns.codes().length;
    const answers: string[] = [];
    const ext = { readQueueNums: 4, writeQueueNums: 4, perm: 6, order: false };
    const asked = ['made0', 'made1'].map(async (topic) => {
      await region.call(17, { ...ext, topic, topicFilterType: 'SINGLE_TAG' });
      answers.push(topic);
    });
    await expect.poll(() => ns.codes().slice(before)).toContain(code);
    // Asked behind them over the same connection, and answered before.
    await region.call(26);
    expect(answers).toEqual([]);
    held.resolve();
    await Promise.all(asked);
    expect(answers.sort()).toEqual(['made0', 'made1']);
    await region.stop();
  },
);

test('a name server that is silent does not keep a topic from being made', async () => {
  const silent = await recording(() => new Promise(() => undefined));
  const alive = await parts.nameserver();
  const region = await startBroker({
    namesrvAddr: `${silent.address};${alive.address}`,
    registerBrokerTimeoutMills: 3_000,
  });
  const ext = { topic: 'made', readQueueNums: 4, writeQueueNums: 4, perm: 6, order: false };
  const made = await region.call(17, { ...ext, topicFilterType: 'SINGLE_TAG' });
  expect([made.code, await hasRoute(alive.address, 'made')]).toEqual([0, true]);
  await region.stop();
});

describe('several name servers', () => {
  test('one that is silent delays no other; one that is away is told later', async () => {
    const sockets = new Set<net.Socket>();
    const silent = net.createServer((socket) => {
      sockets.add(socket.on('error', () => socket.destroy()));
    });
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    const { port } = silent.address() as net.AddressInfo;
    const alive = await parts.nameserver();
    const latePort = await freePort();
    const list = [`127.0.0.1:${port}`, alive.address, `127.0.0.1:${latePort}`];
    const { service, topics } = brokerSide({ namesrvAddr: list.join(';') });
    const started = service.start();
    await expect.poll(() => hasRoute(alive.address)).toBe(true);
    topics.put(newTopicConfig('second', 2));
    await expect.poll(() => hasRoute(alive.address, 'second')).toBe(true);
    const late = await parts.nameserver({ listenPort: latePort });
    void service.registerNow();
    await expect.poll(() => hasRoute(late.address, 'second')).toBe(true);
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => silent.close(done));
    await started;
  });

  test('the broker leaves all of them when it stops, and one that is no longer listed', async () => {
    const [first, second] = [await parts.nameserver(), await parts.nameserver()];
    const { service, config } = brokerSide({ namesrvAddr: `${first.address};${second.address}` });
    await service.start();
    expect([await hasRoute(first.address), await hasRoute(second.address)]).toEqual([true, true]);
    config.namesrvAddr = second.address;
    await service.registerNow();
    await expect.poll(() => hasRoute(first.address)).toBe(false);
    expect(await hasRoute(second.address)).toBe(true);
    void service.registerNow();
    void service.registerNow();
    await service.stop();
    expect(await hasRoute(second.address)).toBe(false);
  });

  test('nothing is registered after the goodbye', async () => {
    const ns = await recording((request) => ({
      code: 0,
      ...(request.code === 322 && { ext: { changed: true } }),
    }));
    const { service } = brokerSide({ namesrvAddr: ns.address, forceRegister: false });
    await service.start();
    void service.registerPeriodically();
    void service.registerPeriodically();
    await service.stop();
    await expect.poll(ns.connections).toBe(0);
    expect(ns.codes().at(-1)).toBe(104);
  });

  test('a client asks the others when one was restarted empty', async () => {
    const [empty, full] = [await parts.nameserver(), await parts.nameserver()];
    const { service } = brokerSide({ namesrvAddr: full.address });
    await service.start();
    const peer = createPeerClient();
    const nameservers = [empty.address, full.address];
    const routes = new RouteCache(peer, { nameservers });
    expect((await routes.route('orders')).queueDatas[0]?.brokerName).toBe('broker-a');
    await expect(routes.route('nobody-has-it')).rejects.toMatchObject({ code: 'NO_ROUTE' });
    peer.close();
  });
});

describe('where the addresses come from', () => {
  test('the address server: first line, asked again, nonsense keeps the last list', async () => {
    const [first, second] = [await parts.nameserver(), await parts.nameserver()];
    let text = `${first.address}\nsecond line`;
    const asked: string[] = [];
    const server = http.createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end(text);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as net.AddressInfo;
    const { service } = brokerSide({
      namesrvAddr: '',
      fetchNamesrvAddrByAddressServer: true,
      fetchNamesrvAddrInterval: 20,
      rmqAddressServerDomain: `127.0.0.1:${port}`,
      rmqAddressServerSubGroup: 'group-x',
    });
    await service.start();
    expect(asked[0]).toBe('/rocketmq/group-x');
    expect(await hasRoute(first.address)).toBe(true);
    text = `${first.address};${second.address}`;
    await expect.poll(() => hasRoute(second.address)).toBe(true);
    for (const bad of ['', 'not an address', `${first.address};x`, 'a'.repeat(100_000)]) {
      text = bad;
      const before = asked.length;
      await expect.poll(() => asked.length).toBeGreaterThan(before + 1);
      expect([...service.nameservers].sort()).toEqual([first.address, second.address].sort());
    }
    await service.stop();
    await new Promise((done) => server.close(done));
  });

  test('host names stand for their addresses when DNS lookup is on', async () => {
    const ns = await parts.nameserver();
    const port = ns.address.split(':')[1];
    const { service } = brokerSide({
      namesrvAddr: `names.example:${port}`,
      fetchNameSrvAddrByDnsLookup: true,
    });
    await service.start();
    expect(service.nameservers).toEqual([ns.address]);
    expect(await hasRoute(ns.address)).toBe(true);
  });
});

describe('what a registration carries', () => {
  test('a compressed one says the same as a plain one', async () => {
    const ns = await recording(() => ({ code: 0 }));
    const { service, topics } = brokerSide({ namesrvAddr: ns.address, compressedRegister: true });
    await service.start();
    const [request] = ns.seen;
    expect(request?.ext['compressed']).toBe('true');
    const crc = Number(request?.ext['bodyCrc32']);
    const body = decodeRegisterBody(request?.body, { compressed: true, bodyCrc32: crc });
    expect(body.topicConfigSerializeWrapper.dataVersion).toEqual(topics.version);
    expect(body.topicConfigSerializeWrapper.topicConfigTable).toEqual(
      Object.fromEntries(topics.all().map((topic) => [topic.topicName, topic])),
    );
    const own = await parts.nameserver();
    const answer = await parts.peer.invoke(
      own.address,
      { code: 103, ext: request?.ext ?? {}, body: request?.body ?? Buffer.alloc(0) },
      3_000,
    );
    expect(answer.code).toBe(0);
    expect((await routeAt(own.address, 'orders'))?.queueDatas[0]?.writeQueueNums).toBe(4);
  });

  test('a split one brings every change of every piece', async () => {
    const ns = await parts.nameserver();
    const names = Array.from({ length: 7 }, (_, at) => `t-${at}`);
    const split = { enableSplitRegistration: true, splitRegistrationSize: 3 };
    const { service, topics } = brokerSide({ namesrvAddr: ns.address, ...split }, names);
    await service.start();
    topics.put(...names.map((name) => newTopicConfig(name, 9)));
    await service.registerNow();
    for (const name of names) {
      const route = await routeAt(ns.address, name);
      expect([name, route?.queueDatas[0]?.readQueueNums]).toEqual([name, 9]);
    }
    const ext = { brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', clusterName: 'C' };
    const body = JSON.stringify(topics.version);
    const known = { code: 322, ext: { ...ext, brokerId: 0 }, body };
    expect((await parts.peer.invoke(ns.address, known, 20_000)).ext['changed']).toBe('false');
  });

  test('a topic alone, when asked for', async () => {
    const ns = await recording(() => ({ code: 0 }));
    const single = { enableSingleTopicRegister: true };
    const { service, topics } = brokerSide({ namesrvAddr: ns.address, ...single });
    await service.start();
    topics.put(newTopicConfig('alone', 5));
    await expect.poll(ns.codes).toEqual([103, 217]);
    const route = decodeTopicRoute(ns.seen[1]?.body);
    expect(ns.seen[1]?.ext['topic']).toBe('alone');
    expect(route.queueDatas).toEqual([
      { brokerName: 'broker-a', perm: 6, readQueueNums: 5, topicSysFlag: 0, writeQueueNums: 5 },
    ]);
    topics.remove('alone');
    await expect.poll(ns.codes).toEqual([103, 217, 103]);
  });

  test('order configuration of the name server marks topics, but not on a side that is closed', async () => {
    const ns = await parts.nameserver();
    const ext = { namespace: 'ORDER_TOPIC_CONFIG', key: 'orders', value: 'broker-a:4' };
    await parts.peer.invoke(ns.address, { code: 100, ext }, 20_000);
    const list = await parts.peer.invoke(ns.address, { code: 219, ext }, 20_000);
    expect(decodeKvTable(list.body)).toEqual({ orders: 'broker-a:4' });
    const closed = brokerSide({ namesrvAddr: ns.address });
    closed.service.setRole({ stateVersion: 0, permission: 4 });
    await closed.service.start();
    expect(closed.topics.find('orders')?.config.order).toBe(false);
    closed.service.setRole({ stateVersion: 0, permission: 6 });
    await closed.service.registerNow();
    expect(closed.topics.find('orders')?.config.order).toBe(true);
    expect(closed.topics.find('TBW102')?.config.order).toBe(false);
  });

  test('without forceRegister only a name server that lacks the version is told', async () => {
    let changed = false;
    const ns = await recording((request) => ({
      code: 0,
      ...(request.code === 322 && { ext: { changed } }),
    }));
    const { service, topics } = brokerSide({ namesrvAddr: ns.address, forceRegister: false });
    await service.start();
    const period = () => service.registerPeriodically();
    await period();
    expect(ns.codes()).toEqual([103, 322]);
    changed = true;
    await period();
    expect(ns.codes()).toEqual([103, 322, 322, 103]);
    topics.put(newTopicConfig('new', 1));
    await expect.poll(ns.codes).toEqual([103, 322, 322, 103, 103]);
  });

  test('a refused registration is sent again whatever the version', async () => {
    let code = 1;
    const ns = await recording(() => ({ code, ext: { changed: false } }));
    const { service } = brokerSide({ namesrvAddr: ns.address, forceRegister: false });
    await service.start();
    code = 0;
    await service.registerPeriodically();
    await service.registerPeriodically();
    expect(ns.codes()).toEqual([103, 103, 322]);
  });
});

test('the first registration of one topic is refused, with two it is taken', async () => {
  const ns = await parts.nameserver();
  const one = registerRequest(registration({ topicNames: ['a'] }));
  expect((await parts.peer.invoke(ns.address, one, 20_000)).remark).toBe('register broker failed');
  const two = registerRequest(registration({ topicNames: ['a', 'b'] }));
  expect((await parts.peer.invoke(ns.address, two, 20_000)).code).toBe(0);
});
