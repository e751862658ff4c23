// Stock brokers, tools and clients on our name servers and gateway: brokers of 4.9.7 and 5.5.0 register
// here, mqadmin reads and changes, and Java, Go and ali-ons programs find them through the global name
// server and the gateway, also after the gateway was flipped under them.
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NameServer } from '../../core-broker/nameserver/index.ts';
import { DR_CODE, decodeClusterInfo } from '../../core-broker/protocol/index.ts';
import { createGateway, type Gateway, loadGatewayConfig } from '../../switchover/gateway/index.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';
import { mqadmin } from './exchange/mqadmin.ts';
import { type ClientKind, type HistoryEvent, startClient } from './peers/clients.ts';
import { type RunningServer, startBroker } from './peers/rocketmq.ts';

const parts = new DrParts();
const servers: RunningServer[] = [];
let namesrv: NameServer;
let broker: RunningServer;

async function stockBroker(version: '4.9.7' | '5.5.0', names: { ns: string; name: string }) {
  const started = await startBroker({
    version,
    folder: path.join(parts.folder, names.name),
    // Leaves room for the VIP port below and the HA port above.
    port: await freePort(true),
    namesrv: names.ns,
    brokerName: names.name.replace(/-(east|west)$/, ''),
    clusterName: 'C',
  });
  servers.push(started);
  return started;
}

beforeAll(async () => {
  namesrv = await parts.nameserver();
  broker = await stockBroker('5.5.0', { ns: namesrv.address, name: 'broker-a-east' });
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  await parts.close();
});

const admin = (command: string, ...args: string[]) =>
  mqadmin({ version: '5.5.0', folder: path.join(parts.folder, 'tools') }, command, args);
const sent = (events: HistoryEvent[]) =>
  events.filter((event) => event.phase === 'ok').map((event) => event.key);
const consumed = (events: HistoryEvent[]) =>
  new Set(events.filter((event) => event.op === 'consume').map((event) => event.key));

describe('mqadmin', () => {
  test('sees the stock broker and changes what it may', async () => {
    const ns = ['-n', namesrv.address];
    expect(await admin('clusterList', ...ns)).toMatch(/C\s+broker-a\s+0\s+127\.0\.0\.1/);
    await admin('updateTopic', ...ns, '-c', 'C', '-t', 'tools', '-r', '4', '-w', '4');
    await expect.poll(() => admin('topicList', ...ns)).toContain('tools');
    expect(await admin('topicRoute', ...ns, '-t', 'tools')).toContain(broker.address);
    expect(await admin('wipeWritePerm', ...ns, '-b', 'broker-a')).toMatch(/OK, \d+/);
    expect(await admin('topicRoute', ...ns, '-t', 'tools')).toMatch(/"perm":\s?4/);
    expect(await admin('addWritePerm', ...ns, '-b', 'broker-a')).toMatch(/OK, \d+/);
    expect(await admin('updateKvConfig', ...ns, '-s', 'N', '-k', 'k', '-v', 'v')).toContain('succ');
    expect(await admin('getNamesrvConfig', ...ns)).toMatch(/enableAllTopicList\s*=\s*true/);
    await admin('deleteTopic', ...ns, '-c', 'C', '-t', 'tools');
    expect(await admin('topicList', ...ns)).not.toContain('tools');
  });

  test('a stock 4.9.7 broker registers and leaves at once when it is killed', async () => {
    const { address } = await parts.nameserver();
    const old = await stockBroker('4.9.7', { ns: address, name: 'broker-old' });
    const list = () =>
      mqadmin({ version: '4.9.7', folder: path.join(parts.folder, 'broker-old') }, 'clusterList', [
        '-n',
        address,
      ]);
    expect(await list()).toMatch(/broker-old\s+0\s+127\.0\.0\.1.*V4_9_7/);
    const names = async () => {
      const answer = await parts.peer.invoke(address, { code: 106 }, 5_000);
      return Object.keys(decodeClusterInfo(answer.body).brokerAddrTable);
    };
    expect(await names()).toEqual(['broker-old']);
    old.child.kill();
    await expect.poll(names).toEqual([]);
  });
});

describe('clients behind the global name server and the gateway', () => {
  let gateway: Gateway;
  let global: NameServer;

  beforeAll(async () => {
    const spare = await parts.nameserver();
    const file = parts.write('gateway-stock.conf', [
      'drListen=broker-a=127.0.0.1:0',
      // Both regions name the one stock broker: a flip then only cuts, nothing is lost.
      `drRegions=east=broker-a=${broker.address}|west=broker-a=${broker.address}`,
      'drActiveRegion=east',
      'drStatePath=gateway-stock',
      'drSecretFile=secret',
      'drControlAddress=127.0.0.1',
    ]);
    gateway = await parts.run(createGateway({ config: loadGatewayConfig(file) }));
    const port = gateway.ports.get('broker-a')?.main;
    global = await parts.global(
      { east: [namesrv.address], west: [spare.address] },
      { lines: [`drGateways=broker-a=127.0.0.1:${port}`] },
    );
    for (const topic of ['t-java', 't-go', 't-ali-ons']) {
      const queues = ['-r', '4', '-w', '4'];
      await admin('updateTopic', '-n', namesrv.address, '-c', 'C', '-t', topic, ...queues);
    }
  });

  const kinds: [string, ClientKind][] = [
    ['java', 'java-5.5.0'],
    ['go', 'go'],
    ['ali-ons', 'ali-ons'],
  ];
  test.each(kinds)(
    '%s sends and consumes on, though every connection is cut twice',
    async (name, kind) => {
      const at = { kind, namesrv: global.address, topic: `t-${name}`, folder: parts.folder };
      const consumer = await startClient({
        ...at,
        mode: 'consume',
        group: `g-${name}`,
        name: `${name}-consume`,
      });
      const producer = await startClient({
        ...at,
        mode: 'produce',
        group: `p-${name}`,
        name: `${name}-produce`,
        more: { rate: 50, count: 300, prefix: name },
      });
      for (const threshold of [80, 180]) {
        await expect.poll(() => sent(producer.events()).length).toBeGreaterThan(threshold);
        const { region, epoch } = gateway.active;
        await parts.dr.control(gateway.controlAddress, {
          code: DR_CODE.FLIP,
          body: { region: region === 'east' ? 'west' : 'east', epoch: epoch + 1, opId: 'x' },
          opId: 'x',
        });
      }
      const events = await producer.finished();
      const keys = sent(events);
      expect(events.filter((event) => event.phase === 'invoke')).toHaveLength(300);
      expect(keys.length).toBeGreaterThan(250);
      await expect
        .poll(() => keys.filter((key) => !consumed(consumer.events()).has(key)), {
          timeout: 90_000,
        })
        .toEqual([]);
      await consumer.stop();
    },
  );
});
