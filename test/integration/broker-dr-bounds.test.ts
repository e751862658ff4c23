// A consumer that runs through a failover stands where the lost messages ended. The promoted region is
// killed with -9 before that consumer pulled once, and started again: it must still be sent back to the
// end of what survived, or it would skip as many new messages as were lost.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { createPeerClient, type PeerClient } from '../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus, type PromoteResult } from '../../core-broker/protocol/index.ts';
import { sendRequest } from '../support/region-pair.ts';
import { PATIENT_MS, type RegionName, Stage } from '../support/regions/stage.ts';

let stage: Stage;
let peer: PeerClient;
const OP = { opId: 'op-failover' };
const QUEUE = { topic: 'TopicTest', queueId: 0 };
const GROUP = 'readers';

beforeAll(async () => {
  stage = await Stage.open('bounds');
  peer = stage.onClose(createPeerClient(), async (each) => each.close());
});
afterAll(() => stage?.close());

const invoke = (name: RegionName, code: number, ext: Record<string, string | number>) =>
  peer.invoke(stage.files(name).broker, { code, ext }, 10_000);

async function sendMany(name: RegionName, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const answer = await peer.invoke(stage.files(name).broker, sendRequest(`m${i}`), 10_000);
    expect(answer.code).toBe(0);
  }
}

const pullFrom = (name: RegionName, queueOffset: number) =>
  invoke(name, 11, {
    consumerGroup: GROUP,
    ...QUEUE,
    queueOffset,
    maxMsgNums: 32,
    sysFlag: 4,
    commitOffset: 0,
    suspendTimeoutMillis: 0,
    subscription: '*',
    subVersion: 0,
  });

/** Committed offset of the group; undefined while there is none. */
async function offsetAt(name: RegionName): Promise<number | undefined> {
  const { code, ext } = await invoke(name, 14, { consumerGroup: GROUP, ...QUEUE });
  return code === 0 ? Number(ext['offset']) : undefined;
}

test('kill -9 right after a failover: a consumer that did not pull yet skips nothing', async () => {
  await sendMany('east', 10);
  expect((await pullFrom('east', 0)).code).toBe(0);
  expect(
    (await invoke('east', 15, { consumerGroup: GROUP, ...QUEUE, commitOffset: 10 })).code,
  ).toBe(0);
  await stage.level('west');
  await waitFor('the offset at west', async () => (await offsetAt('west')) === 10, {
    timeoutMs: PATIENT_MS,
  });
  // What comes now is read there and lost: the link is halted.
  await stage.ask<DrStatus>('west', DR_CODE.LINK_HALT, OP);
  await sendMany('east', 20);
  expect((await pullFrom('east', 10)).ext['nextBeginOffset']).toBe('30');
  await stage.kill('east');
  const body = { ...OP, fromEpoch: 1, token: null, forced: true };
  expect(await stage.ask<PromoteResult>('west', DR_CODE.PROMOTE, body)).toMatchObject({ epoch: 2 });
  await stage.kill('west');
  await stage.regions.startRegion('west');
  await stage.statusNow('west');
  // Its peer is dead and no name server was flipped yet: the operator opens it.
  await stage.ask('west', DR_CODE.ACTIVATE, { ...OP, epoch: 2 });
  await sendMany('west', 40);
  expect(await pullFrom('west', 30)).toMatchObject({
    code: 21,
    ext: { nextBeginOffset: '10' },
  });
  const next = await pullFrom('west', 10);
  expect(next.code).toBe(0);
  expect(next.ext['nextBeginOffset']).not.toBe('10');
});
