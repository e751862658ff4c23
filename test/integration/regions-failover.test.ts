// kill -9 of the active region under load while its link is cut, so that a tail is really lost; the
// statement must bound it per queue, and the old disk's own list must equal what the judge counts. Then
// the old primary comes back: deposed, it takes no write on any path and feeds nobody.
import * as net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { createPeerClient, type PeerClient } from '../../core-broker/client/index.ts';
import { type AttachResult, DR_CODE } from '../../core-broker/protocol/index.ts';
import type { OperationResult } from '../../switchover/index.ts';
import { drJson } from '../support/dr-command.ts';
import { judgeLog, OrderFlow } from '../support/regions/order-flow.ts';
import { everyWrite } from '../support/regions/raw-writes.ts';
import { PATIENT_MS, Stage } from '../support/regions/stage.ts';
import { logBytes } from '../support/small-store.ts';
import { type WanProxy, wanProxy } from '../support/wan-proxy.ts';

let stage: Stage;
let flow: OrderFlow;
let peer: PeerClient;
let wan: WanProxy;
let statement: NonNullable<OperationResult['statement']>;

beforeAll(async () => {
  stage = await Stage.layOut('regions-failover');
  peer = stage.onClose(createPeerClient(), async (each) => each.close());
  const [host, port] = stage.files('east').broker.split(':');
  wan = stage.onClose(await wanProxy(`${host}:${Number(port) + 1}`), (each) => each.stop());
  stage.editYaml('west', (yaml) => {
    yaml['link'] = { haAddress: wan.address, metadataMs: 600_000 };
  });
  await stage.start();
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.regions.globalNameserver, lanes: 8, everyMs: 2 }),
    (each) => each.stop(),
  );
});
afterAll(() => stage?.close());

test('the statement bounds what a kill -9 of the active region loses, queue by queue', async () => {
  flow.start();
  await flow.more(200);
  // The topic is younger than the last copy of the metadata: its orders must be served anyway.
  // The link's bytes stop; its samples, which the statement comes from, go on.
  wan.blackhole();
  await stage.until('west', 'far behind', ({ link }) => (link?.lagMessages ?? 0) > 800);
  wan.cut();
  await stage.kill('east');
  const words = ['failover', '-c', stage.files('west').drYaml, '--to', 'west'];
  const run = await drJson<OperationResult>([...words, '--accept-data-loss'], stage.folder, [0, 3]);
  expect(run.statement).toBeDefined();
  statement = run.statement as typeof statement;
  await flow.more(50);
  await flow.pause();
  const verdict = await judgeLog(flow, stage.files('west').nameserver);
  expect(verdict.lost).toBeGreaterThan(100);
  expect(verdict).toMatchObject({ outOfOrder: 0, duplicatedByBroker: 0 });
  const since = statement.unknownSinceMs ?? Number.POSITIVE_INFINITY;
  const lostBefore = flow.history.filter(
    ({ phase, t, key }) => phase === 'ok' && t < since && verdict.allLost.has(key),
  );
  const stated = new Map(
    statement.brokers.flatMap(({ queues }) => queues.map((each) => [each.queue, each.missing])),
  );
  const counted = new Map<string, number>();
  for (const { queue = '' } of lostBefore) {
    const name = `ORDERS@${queue.split(':')[1]}`;
    counted.set(name, (counted.get(name) ?? 0) + 1);
  }
  expect(counted.size).toBeGreaterThan(0);
  for (const [queue, lost] of counted)
    expect(lost, queue).toBeLessThanOrEqual(stated.get(queue) ?? 0);
});

test('the old disk lists exactly the orders that the judge counts as lost, and no others', async () => {
  const verdict = await judgeLog(flow, stage.files('west').nameserver);
  const tail = await drJson<{ messages: number; queues: { queue: string; messages: number }[] }>(
    ['reconcile', 'list', '-c', stage.files('west').drYaml, '--store', stage.files('east').store],
    stage.folder,
    [3],
  );
  // The tail also holds sends whose answer was lost in the kill: stored, never acknowledged.
  const unanswered = flow.history.filter(({ phase }) => phase === 'unknown').length;
  const orders = tail.queues.filter(({ queue }) => queue.startsWith('ORDERS@'));
  const listed = orders.reduce((sum, { messages }) => sum + messages, 0);
  expect(listed).toBeGreaterThanOrEqual(verdict.lost);
  expect(listed - verdict.lost).toBeLessThanOrEqual(unanswered + flow.retried);
  const text = logBytes(stage.files('east').store, 0, Number.MAX_SAFE_INTEGER).toString('latin1');
  for (const key of verdict.allLost) expect(text).toContain(`"order":"${key}"`);
});

test('the old primary comes back deposed: no path writes, no link is fed', async () => {
  await stage.regions.startRegion('east');
  const before = await stage.until('east', 'deposed', (each) => each.writeState === 'deposed');
  const { broker } = stage.files('east');
  for (const write of everyWrite('ORDERS')) {
    const answer = await peer.invoke(broker, write.request, 10_000);
    expect(answer.code, `${write.name}: ${answer.remark}`).toBe(16);
  }
  const attach = await stage.ask<AttachResult>('east', DR_CODE.LINK_ATTACH, {
    linkId: 'somebody',
    epoch: 1,
    position: 0,
    lastRecordCrc: 0,
    lineage: [],
  });
  expect(attach).toMatchObject({ verdict: 'refused' });
  expect(await bytesFrom(before.haAddress)).toBe(0);
  expect((await stage.statusNow('east')).maxOffset).toBe(before.maxOffset);
  expect((await stage.health('east'))?.reasons.join()).toMatch(
    /deposed: the active region is west/,
  );
});

test('rejoin exports the tail, cuts it and follows: both logs are equal again', async () => {
  const run = await stage.dr('east', 'rejoin', '--yes');
  expect(run.status, run.stderr).toBe(0);
  const end = await stage.level('east');
  expect(stage.sameLog(end)).toBe(true);
});

/** What an HA peer is given that asks from the first byte on, until the connection ends. */
async function bytesFrom(address: string): Promise<number> {
  const [host = '', port] = address.split(':');
  const socket = net.connect({ host, port: Number(port) });
  let count = 0;
  let isClosed = false;
  socket.on('data', (bytes) => {
    count += bytes.length;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  socket.write(Buffer.alloc(8));
  await waitFor('the HA port to close', () => isClosed, { timeoutMs: PATIENT_MS });
  return count;
}
