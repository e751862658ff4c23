// Every server enforces TLS and both brokers want signatures: a planned switch, a backup with restore, a
// failover with kill -9, dr status and health all work with the keys that dr.yaml names; a client of our
// own behind the gateway goes on, and whoever has no keys stays out before and after.
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import type { RemotingCommand } from '../../core-broker/protocol/index.ts';
import type { RemotingClient } from '../../core-broker/remoting/index.ts';
import { setProcessIdentity } from '../../core-broker/remoting/index.ts';
import { ADMIN, signedBy } from '../support/acl-files.ts';
import { sendRequest } from '../support/region-pair.ts';
import { layOutSecured, type SecuredStage } from '../support/regions/secured.ts';
import { PATIENT_MS, type RegionName, type Stage } from '../support/regions/stage.ts';

let secured: SecuredStage;
let stage: Stage;
let client: RemotingClient;
const sent: string[] = [];

beforeAll(async () => {
  secured = await layOutSecured('regions-secured');
  stage = secured.stage;
  setProcessIdentity({ sign: signedBy(ADMIN), tls: secured.trust });
  await stage.start();
  client = secured.signed();
});
afterAll(async () => {
  setProcessIdentity({});
  await stage?.close();
});

const gateway = (): string => stage.regions.gateway ?? '';

function send(by: RemotingClient, body: string): Promise<RemotingCommand> {
  return by.invoke(gateway(), sendRequest(body, { topic: 'orders' }), 20_000);
}

/** A client by TLS is cut by a flip and tries again, as every RocketMQ client does. */
async function order(): Promise<void> {
  const body = `order-${sent.length}`;
  const isStored = async () => (await send(client, body).catch(() => undefined))?.code === 0;
  await waitFor(`${body} to be stored`, isStored, { timeoutMs: PATIENT_MS });
  sent.push(body);
}

async function strangersStayOut(active: RegionName): Promise<void> {
  const before = (await stage.statusNow(active)).maxOffset;
  const { remark } = await send(secured.unsigned(), 'stranger');
  expect(remark).toMatch(/AclException: No accessKey/);
  await expect(send(secured.plain(), 'stranger')).rejects.toMatchObject({ code: 'NETWORK' });
  expect((await stage.statusNow(active)).maxOffset).toBe(before);
}

async function bodies(): Promise<string[]> {
  const ext = {
    ...{ consumerGroup: 'readers', topic: 'orders', queueId: 0, queueOffset: 0 },
    ...{ maxMsgNums: 32, sysFlag: 4, commitOffset: 0, suspendTimeoutMillis: 0 },
    ...{ subVersion: 0, subscription: '*' },
  };
  const answer = await client.invoke(gateway(), { code: 11, ext }, 20_000);
  return [...(answer.body?.toString('latin1') ?? '').matchAll(/order-\d+/g)].map(([body]) => body);
}

test('the link follows, and only signed clients by TLS get in', async () => {
  for (let i = 0; i < 5; i++) await order();
  await strangersStayOut('east');
  await stage.level('west');
  const status = await stage.dr('west', 'status');
  expect(status.status, status.stderr).toBe(0);
  expect(status.stdout).toContain('following');
});

test('a planned switch', async () => {
  const run = await stage.dr('west', 'switchover', '--to', 'west', '--yes');
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  for (let i = 0; i < 5; i++) await order();
  await strangersStayOut('west');
  expect(await stage.flips()).toEqual([
    expect.objectContaining({ region: 'west', epoch: 2 }),
    expect.objectContaining({ region: 'west', epoch: 2 }),
  ]);
  await stage.ready('west', 'east');
});

test('a backup of the new active side, restored and verified', async () => {
  const backup = await stage.dr('west', 'backup', 'run');
  expect(backup.status, backup.stderr).toBe(0);
  const into = path.join(stage.folder, 'restored');
  const restored = await stage.dr('west', 'restore', '--into', into);
  expect(restored.status, restored.stderr).toBe(0);
});

test('a failover back', async () => {
  await stage.level('east');
  await stage.kill('west');
  const run = await stage.dr('east', 'failover', '--to', 'east', '--accept-data-loss');
  expect([0, 3], `${run.stdout}\n${run.stderr}`).toContain(run.status);
  for (let i = 0; i < 3; i++) await order();
  await strangersStayOut('east');
  expect(new Set(await bodies())).toEqual(new Set(sent));
});
