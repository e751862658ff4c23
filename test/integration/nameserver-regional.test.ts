// A regional name server over real sockets: brokers come, change and go; clients and tools ask.
import * as net from 'node:net';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createPeerClient } from '../../core-broker/client/index.ts';
import {
  decodeClusterInfo,
  decodeTopicRoute,
  encodeRequest,
  type RequestInit,
} from '../../core-broker/protocol/index.ts';
import { DrParts } from '../support/dr-parts.ts';
import { registerRequest, registration, version } from '../support/registration.ts';

const parts = new DrParts();
afterAll(() => parts.close());

const invoke = (address: string, request: RequestInit) =>
  parts.peer.invoke(address, request, 20_000);
const routeOf = (address: string, topic: string) =>
  invoke(address, { code: 105, ext: { topic, acceptStandardJsonOnly: true } });
const routeCode = async (address: string, topic = 'orders') => (await routeOf(address, topic)).code;

describe('a broker', () => {
  test('registers, is found by clients, and unregisters', async () => {
    const { address } = await parts.nameserver();
    expect(await routeCode(address)).toBe(17);
    await invoke(address, registerRequest(registration()));
    const route = await routeOf(address, 'orders');
    expect(decodeTopicRoute(route.body).brokerDatas[0]?.brokerAddrs).toEqual({
      0: '10.0.0.1:10911',
    });
    // Why the text: the Go client cuts it at `,` and `:`, so blanks would become part of values.
    expect(route.body?.toString()).toContain('"brokerAddrs":{"0":"10.0.0.1:10911"}');
    const gone = {
      brokerName: 'broker-a',
      brokerAddr: '10.0.0.1:10911',
      clusterName: 'C',
      brokerId: 0,
    };
    expect((await invoke(address, { code: 104, ext: gone })).code).toBe(0);
    expect(await routeCode(address)).toBe(17);
  });

  test('is unregistered as soon as its connection closes, but not when it has come back', async () => {
    const { address } = await parts.nameserver();
    const [first, second] = [createPeerClient(), createPeerClient()];
    await first.invoke(address, registerRequest(registration()), 20_000);
    await second.invoke(
      address,
      registerRequest(registration({ brokerName: 'b', brokerAddr: 'b:1' })),
      3_000,
    );
    await second.invoke(address, registerRequest(registration()), 20_000);
    await first.invoke(
      address,
      registerRequest(registration({ brokerAddr: 'mark:1', brokerName: 'mark' })),
      3_000,
    );
    first.close();
    const names = async () =>
      Object.keys(decodeClusterInfo((await invoke(address, { code: 106 })).body).brokerAddrTable);
    await expect.poll(names).not.toContain('mark');
    expect(await names()).toEqual(['broker-a', 'b']);
    second.close();
    await expect.poll(() => routeCode(address)).toBe(17);
  });

  test('that falls silent is forgotten; its connection is closed; a heartbeat keeps it', async () => {
    const { address } = await parts.nameserver({ scanNotActiveBrokerInterval: 20 });
    const alive = registration({ brokerName: 'alive', brokerAddr: '10.0.0.2:1', timeoutMs: 400 });
    await invoke(address, registerRequest(registration({ timeoutMs: 400 })));
    await invoke(address, registerRequest({ ...alive, topics: new Map() }));
    const beat = setInterval(() => {
      const ext = { clusterName: 'C', brokerAddr: '10.0.0.2:1', brokerName: 'alive' };
      parts.peer.oneway(address, { code: 904, ext }).catch(() => clearInterval(beat));
    }, 20);
    const watcher = createPeerClient();
    const names = async () => {
      const answer = await watcher.invoke(address, { code: 106 }, 20_000);
      return Object.keys(decodeClusterInfo(answer.body).brokerAddrTable);
    };
    await expect.poll(names).not.toContain('broker-a');
    clearInterval(beat);
    watcher.close();
  });

  test('with a smaller stateVersion changes nothing', async () => {
    const { address } = await parts.nameserver();
    await invoke(address, registerRequest(registration({ dataVersion: version(1, 5) })));
    const old = registration({ brokerAddr: '10.0.0.9:1', dataVersion: version(9, 4) });
    expect((await invoke(address, registerRequest(old))).code).toBe(0);
    const route = decodeTopicRoute((await routeOf(address, 'orders')).body);
    expect(route.brokerDatas[0]?.brokerAddrs[0]).toBe('10.0.0.1:10911');
  });

  test('is told whether its data version is known', async () => {
    const { address } = await parts.nameserver();
    const ask = (counter: number): RequestInit => ({
      code: 322,
      ext: { brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', clusterName: 'C', brokerId: 0 },
      body: JSON.stringify(version(counter)),
    });
    expect((await invoke(address, ask(1))).ext['changed']).toBe('true');
    await invoke(address, registerRequest(registration({ dataVersion: version(1) })));
    expect((await invoke(address, ask(1))).ext['changed']).toBe('false');
    const changed = await invoke(address, ask(2));
    expect(changed.ext['changed']).toBe('true');
    expect(JSON.parse(String(changed.body))).toEqual(version(1));
  });
});

describe('tools', () => {
  test('keys and values survive a restart and reach registering brokers', async () => {
    const kvConfigPath = `${parts.folder}/kv-shared.json`;
    const first = await parts.nameserver({ kvConfigPath });
    const ext = { namespace: 'ORDER_TOPIC_CONFIG', key: 'orders', value: 'broker-a:4' };
    await invoke(first.address, { code: 100, ext });
    await parts.stop(first);
    const { address } = await parts.nameserver({ kvConfigPath, orderMessageEnable: true });
    const registered = await invoke(address, registerRequest(registration()));
    expect(JSON.parse(String(registered.body))).toEqual({ table: { orders: 'broker-a:4' } });
    const route = decodeTopicRoute((await routeOf(address, 'orders')).body);
    expect(route.orderTopicConf).toBe('broker-a:4');
    expect((await invoke(address, { code: 101, ext })).ext['value']).toBe('broker-a:4');
    expect((await invoke(address, { code: 101, ext: { ...ext, key: 'no' } })).code).toBe(22);
    await invoke(address, { code: 102, ext });
    expect((await invoke(address, { code: 101, ext })).code).toBe(22);
  });

  test('lists, write permission, deletion and configuration are served', async () => {
    const { address } = await parts.nameserver();
    await invoke(address, registerRequest(registration()));
    const topics = async (request: RequestInit) =>
      JSON.parse(String((await invoke(address, request)).body)).topicList;
    expect(await topics({ code: 206 })).toEqual(['orders', 'TBW102']);
    expect(await topics({ code: 224, ext: { cluster: 'C' } })).toEqual(['orders', 'TBW102']);
    expect(await topics({ code: 304 })).toEqual(['C', 'broker-a']);
    expect(await topics({ code: 311 })).toEqual([]);
    const wiped = await invoke(address, { code: 205, ext: { brokerName: 'broker-a' } });
    expect(wiped.ext['wipeTopicCount']).toBe('2');
    const perm = async () =>
      decodeTopicRoute((await routeOf(address, 'orders')).body).queueDatas[0]?.perm;
    expect(await perm()).toBe(4);
    await invoke(address, { code: 327, ext: { brokerName: 'broker-a' } });
    expect(await perm()).toBe(6);
    await invoke(address, { code: 216, ext: { topic: 'orders' } });
    expect(await routeCode(address)).toBe(17);
    expect((await invoke(address, { code: 318, body: 'enableAllTopicList=false\n' })).code).toBe(0);
    expect(await invoke(address, { code: 206 })).toMatchObject({ code: 1, remark: 'disable' });
    await invoke(address, { code: 318, body: 'enableTopicList=false\n' });
    expect((await invoke(address, { code: 311 })).code).toBe(1);
    expect((await invoke(address, { code: 224, ext: { cluster: 'C' } })).code).toBe(1);
    // The system list is served always, as in Apache.
    expect((await invoke(address, { code: 304 })).code).toBe(0);
    expect(String((await invoke(address, { code: 319 })).body)).toContain(
      'enableAllTopicList=false',
    );
    for (const key of ['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome']) {
      expect((await invoke(address, { code: 318, body: `${key}=/x\n` })).code).toBe(16);
    }
    expect((await invoke(address, { code: 99 })).code).toBe(3);
    expect((await invoke(address, { code: 105 })).code).toBe(1);
  });

  test('the members of a group are told; a topic alone is taken from a known broker', async () => {
    const { address } = await parts.nameserver();
    await invoke(address, registerRequest(registration()));
    const slave = { brokerId: 1, brokerAddr: '10.0.0.2:10911' };
    await invoke(address, registerRequest(registration(slave)));
    const group = { clusterName: 'C', brokerName: 'broker-a' };
    const members = await invoke(address, { code: 901, ext: group });
    expect(JSON.parse(String(members.body))).toEqual({
      brokerMemberGroup: {
        brokerAddrs: { 0: '10.0.0.1:10911', 1: '10.0.0.2:10911' },
        brokerName: 'broker-a',
        cluster: 'C',
      },
    });
    const queues = { perm: 6, readQueueNums: 2, writeQueueNums: 2, topicSysFlag: 0 };
    const announce = (topic: string, brokerName: string): RequestInit => ({
      code: 217,
      ext: { topic },
      body: JSON.stringify({ queueDatas: [{ brokerName, ...queues }] }),
    });
    expect((await invoke(address, announce('single', 'broker-a'))).code).toBe(0);
    expect((await invoke(address, announce('stray', 'nobody'))).code).toBe(0);
    expect(await routeCode(address, 'single')).toBe(0);
    expect(await routeCode(address, 'stray')).toBe(17);
    await invoke(address, { code: 216, ext: { topic: 'single', clusterName: 'other' } });
    expect(await routeCode(address, 'single')).toBe(0);
    await invoke(address, { code: 216, ext: { topic: 'single', clusterName: 'C' } });
    expect(await routeCode(address, 'single')).toBe(17);
  });

  test('a name that every object has breaks no list', async () => {
    const { address } = await parts.nameserver();
    for (const name of ['constructor', '__proto__', 'toString']) {
      const odd = { brokerName: name, clusterName: name, brokerAddr: `${name}:1` };
      await invoke(address, registerRequest(registration({ ...odd, topicNames: [name, 'x'] })));
    }
    const info = JSON.parse(String((await invoke(address, { code: 106 })).body));
    expect(Object.keys(info.clusterAddrTable)).toEqual(['constructor', '__proto__', 'toString']);
    expect(Object.keys(info.brokerAddrTable)).toHaveLength(3);
    expect(await routeCode(address, '__proto__')).toBe(0);
    expect(await routeCode(address, 'hasOwnProperty')).toBe(17);
  });

  test('a client that names its zone gets the brokers near it and groups without a master', async () => {
    const { address } = await parts.nameserver();
    const at = (brokerName: string, zone: string, brokerId = 0): RequestInit => {
      const made = registerRequest(
        registration({ brokerName, brokerAddr: `${brokerName}:1`, brokerId }),
      );
      return { ...made, ext: { ...made.ext, enableActingMaster: true, __ZONE_NAME: zone } };
    };
    for (const each of [at('near', 'z1'), at('far', 'z2'), at('read-only', 'z2', 1)]) {
      await invoke(address, each);
    }
    const names = async (ext: Record<string, string>) => {
      const answer = await invoke(address, { code: 105, ext: { topic: 'orders', ...ext } });
      const route = decodeTopicRoute(answer.body);
      const queues = route.queueDatas.map((each) => each.brokerName);
      expect(route.brokerDatas.map((each) => each.brokerName)).toEqual(queues);
      return queues;
    };
    expect(await names({})).toEqual(['near', 'far', 'read-only']);
    expect(await names({ __ZONE_MODE: 'true', __ZONE_NAME: 'Z1' })).toEqual(['near', 'read-only']);
    expect(await names({ __ZONE_MODE: 'false', __ZONE_NAME: 'z1' })).toHaveLength(3);
    const global = await parts.global({ east: [address] });
    const zoned = { topic: 'orders', __ZONE_MODE: 'true', __ZONE_NAME: 'z1' };
    const through = await invoke(global.address, { code: 105, ext: zoned });
    expect(decodeTopicRoute(through.body).brokerDatas.map((each) => each.brokerName)).toEqual([
      'near',
      'read-only',
    ]);
  });

  test('the other members hear of a new smallest id', async () => {
    const { address } = await parts.nameserver({ notifyMinBrokerIdChanged: true });
    const member = await parts.nameserver();
    const heard: string[] = [];
    const sockets: net.Socket[] = [];
    const proxy = net.createServer((socket) => {
      sockets.push(socket);
      socket.on('data', (bytes) => heard.push(bytes.toString('latin1')));
      socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    const { port } = proxy.address() as net.AddressInfo;
    const slave = { brokerId: 1, brokerAddr: `127.0.0.1:${port}` };
    await invoke(address, registerRequest(registration(slave)));
    await invoke(address, registerRequest(registration({ brokerAddr: member.address })));
    await expect.poll(() => heard.join('')).toContain('"minBrokerId":"0"');
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => proxy.close(done));
  });
});

test('mutated frames never stop it or reach another connection', async () => {
  const { address } = await parts.nameserver();
  await invoke(address, registerRequest(registration()));
  const [host = '', port = ''] = address.split(':');
  const frames = [
    encodeRequest(registerRequest(registration({ brokerName: 'evil', brokerAddr: 'e:1' })), 1),
    encodeRequest({ code: 105, ext: { topic: 'orders' } }, 2),
    encodeRequest({ code: 318, body: 'x=1' }, 3),
  ];
  const mutation = fc.record({
    frame: fc.constantFrom(...frames),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    cut: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(mutation, async ({ frame, at, bytes, cut }) => {
      const broken = Buffer.from(frame);
      const start = Math.floor(at * (broken.length - 1));
      broken.set(bytes.subarray(0, broken.length - start), start);
      const socket = net.connect(Number(port), host);
      const closed = new Promise((done) => socket.once('close', done));
      socket.on('error', () => socket.destroy());
      socket.resume();
      socket.end(cut ? broken.subarray(0, start + 1) : broken);
      await closed;
      expect(await routeCode(address)).toBe(0);
    }),
    { numRuns: 150 },
  );
});
