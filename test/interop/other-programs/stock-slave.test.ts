// A stock 4.9.7 slave behind a stock 5.5.0 master and behind ours: it takes the log by the HA port, and topics,
// groups and offsets by its requests 21, 201, 43 and 45; what was sent to the master is read at the slave.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import { pullFields, recordsOf, sendFields } from '../../support/broker-fixture.ts';
import { spawnBroker } from '../../support/broker-process.ts';
import { DrParts, freePort } from '../../support/dr-parts.ts';
import { ensurePeers } from '../peers/install.ts';
import { startBroker, startNameserver } from '../peers/rocketmq.ts';

const COUNT = 10;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-stock-slave-'));
const parts = new DrParts();
const closers: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const close of closers.reverse()) await close();
  await parts.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function stockMaster() {
  const version = '5.5.0' as const;
  const at = { version, folder: path.join(folder, 'ns'), port: await freePort() };
  const names = await startNameserver(at);
  closers.push(() => names.kill());
  const where = { folder: path.join(folder, 'stock'), port: await freePort(true) };
  const broker = await startBroker({ version, ...where, namesrv: names.address });
  closers.push(() => broker.kill());
  return { namesrv: names.address, master: broker.address };
}

async function ourMaster() {
  const { address: namesrv } = await parts.nameserver();
  // A port of its own: slaves of 4.9 ask the VIP port, two below.
  const listenPort = await freePort(true);
  const values = { namesrvAddr: namesrv, brokerClusterName: 'DefaultCluster', listenPort };
  const broker = await spawnBroker(path.join(folder, 'ours'), values);
  closers.push(() => broker.kill());
  return { namesrv, master: broker.address };
}

/** Fields as clients write them. */
const fields = (ext: Record<string, unknown>) => ext as Record<string, string>;

test.each([
  ['a stock 5.5.0 master', stockMaster],
  ['our master', ourMaster],
] as const)('a 4.9.7 slave of %s has its log, topics, groups and offsets', async (name, start) => {
  await ensurePeers('server-5.5.0', 'server-4.9.7');
  const { namesrv, master } = await start();
  const ask = (at: string, code: number, ext: Record<string, unknown> = {}, body?: Buffer) =>
    parts.peer.invoke(at, { code, ext: fields(ext), ...(body && { body }) }, 20_000);
  for (let i = 0; i < COUNT; i++) {
    const sent = await ask(
      master,
      RequestCode.SEND_MESSAGE_V2,
      sendFields('kept', { queueId: 0 }),
      Buffer.from(`m${i}`),
    );
    expect(sent.code, sent.remark).toBe(0);
  }
  const offset = { consumerGroup: 'readers', topic: 'kept', queueId: 0, commitOffset: 7 };
  await ask(master, RequestCode.PULL_MESSAGE, pullFields('kept', 0, { group: 'readers' }));
  await ask(master, RequestCode.UPDATE_CONSUMER_OFFSET, offset);
  const slave = await startBroker({
    ...{ version: '4.9.7', folder: path.join(folder, name), port: await freePort(true) },
    ...{ namesrv, brokerId: 1, brokerRole: 'SLAVE' },
  });
  closers.push(() => slave.kill());
  const textOf = async (code: number) => (await ask(slave.address, code)).body?.toString() ?? '';
  await expect.poll(() => textOf(RequestCode.GET_ALL_TOPIC_CONFIG)).toContain('"kept"');
  const groups = () => textOf(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
  await expect.poll(groups).toContain('"readers"');
  const offsets = () => textOf(RequestCode.GET_ALL_CONSUMER_OFFSET);
  await expect.poll(offsets).toMatch(/"kept@readers":\{"?0"?:7\}/);
  const bodies = async () => {
    const pull = pullFields('kept', 0, { group: 'readers' });
    const answer = await ask(slave.address, RequestCode.PULL_MESSAGE, pull);
    return answer.code === 0 ? recordsOf(answer).map(({ body }) => body.toString()) : [];
  };
  await expect.poll(bodies).toEqual(Array.from({ length: COUNT }, (_, i) => `m${i}`));
});
