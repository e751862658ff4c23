// A region daemon is killed with -9 after each request of a switch, in real processes with the real link,
// and asked again as soon as it answers: what it said before must still hold, and it must not say more.
// Ends with the promoted side restarting while its old peer is dead: the global name server's answer
// opens it, and with nobody reachable it stays closed.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import { createPeerClient, type PeerClient } from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type PromoteResult,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { sendRequest } from '../support/region-pair.ts';
import { PATIENT_MS, type RegionName, Stage } from '../support/regions/stage.ts';

let stage: Stage;
let peer: PeerClient;
let token: SealedTailToken;
const OP = { opId: 'op-killed' };

beforeAll(async () => {
  stage = await Stage.open('killed');
  peer = stage.onClose(createPeerClient(), async (each) => each.close());
});
afterAll(() => stage?.close());

const send = async (name: RegionName, body: string) =>
  (await peer.invoke(stage.files(name).broker, sendRequest(body), 10_000)).code;

async function killAndStart(name: RegionName): Promise<void> {
  await stage.kill(name);
  // Not awaited: the point is to ask in the first moment. One that dies shows as one that never answers.
  void stage.regions.startRegion(name).catch(() => undefined);
}

/** Repeats a request until the broker is there to answer it; a refusal is an answer. */
async function insist<T>(name: RegionName, code: number, body: object = OP): Promise<T> {
  for (const startedMs = Date.now(); ; ) {
    try {
      return await stage.ask<T>(name, code, body);
    } catch (reason) {
      const isAway = DrError.is(reason, 'NETWORK', 'TIMEOUT', 'UNREACHABLE');
      if (!isAway || Date.now() - startedMs > PATIENT_MS) throw reason;
      await sleep(1);
    }
  }
}

/** Waits until the region's own name server gives the topic this permission. */
async function untilPermission(name: RegionName, permission: number): Promise<void> {
  await waitFor(
    `permission ${permission} in ${name}`,
    async () => {
      const ext = { topic: 'TopicTest', acceptStandardJsonOnly: true };
      const route = await peer.invoke(stage.files(name).nameserver, { code: 105, ext }, 20_000);
      const { queueDatas = [] } = JSON.parse(route.body?.toString() || '{}') as {
        queueDatas?: { perm: number }[];
      };
      return queueDatas.length > 0 && queueDatas.every(({ perm }) => perm === permission);
    },
    { timeoutMs: PATIENT_MS },
  );
}

const promote = () => {
  const body = { ...OP, fromEpoch: 1, token, forced: false };
  return insist<PromoteResult>('west', DR_CODE.PROMOTE, body);
};

test('a sealed side that is killed stays sealed and gives the same proof', async () => {
  for (let i = 0; i < 20; i++) expect(await send('east', `m${i}`)).toBe(0);
  await stage.level('west');
  await stage.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
  token = await stage.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
  await killAndStart('east');
  const found = await insist<DrStatus>('east', DR_CODE.STATUS);
  expect(found.writeState).toBe('sealed');
  // An abnormal boot opens a new stretch of history; everything else of the proof is the same.
  const again = await insist<SealedTailToken>('east', DR_CODE.SEAL);
  expect({ ...again, lineage: [] }).toEqual({ ...token, lineage: [] });
  token = again;
  await stage.until('west', 'level with the new stretch', ({ lineage, link, maxOffset }) => {
    const isSame = JSON.stringify(lineage) === JSON.stringify(token.lineage);
    return isSame && link?.state === 'following' && maxOffset === token.logEnd;
  });
});

test('a halt outlives the standby, and its promotion goes through at the first answer', async () => {
  await stage.ask('west', DR_CODE.LINK_HALT, OP);
  await killAndStart('west');
  await insist('west', DR_CODE.FINAL_SYNC);
  const { link } = await stage.statusNow('west');
  expect(link).toMatchObject({ state: 'halted', haltedBy: OP.opId });
  await killAndStart('west');
  expect(await promote()).toMatchObject({ epoch: 2, startOffset: token.logEnd });
});

test('a promoted side that is killed answers the same and gives nothing up', async () => {
  await killAndStart('west');
  expect(await promote()).toMatchObject({ epoch: 2, startOffset: token.logEnd });
  await expect(stage.ask('west', DR_CODE.LINK_RESUME, OP)).rejects.toMatchObject({
    code: 'REFUSED',
  });
  await stage.until('west', 'open', ({ writeState }) => writeState === 'open');
  await expect(stage.ask('east', DR_CODE.UNSEAL, OP)).rejects.toMatchObject({ code: 'REFUSED' });
});

test('a reversed side that is killed follows the new source and goes on relaying', async () => {
  const { broker } = stage.files('west');
  const target = { ...OP, target: broker, region: 'west', epoch: 2 };
  await stage.ask('east', DR_CODE.RELAY_START, target);
  const reversal = { ...OP, source: broker, sourceRegion: 'west', epoch: 2 };
  await stage.ask('east', DR_CODE.REVERSE, reversal);
  await killAndStart('east');
  const found = await stage.until('east', 'following', ({ link }) => link?.state === 'following');
  expect(found).toMatchObject({ role: 'standby', epoch: 2, link: { source: broker } });
  expect(await send('east', 'over the relay')).toBe(0);
  const end = await stage.level('east');
  expect(stage.sameLog(end)).toBe(true);
});

test('routes name one writable region: a standby is readable once it relays no more', async () => {
  await untilPermission('west', 6);
  // It takes its clients' writes and sends them on.
  await untilPermission('east', 6);
  await stage.ask('east', DR_CODE.RELAY_STOP, OP);
  await untilPermission('east', 4);
  await killAndStart('east');
  await stage.until('east', 'a standby', ({ role }) => role === 'standby');
  await untilPermission('east', 4);
  expect(await send('east', 'refused')).toBe(16);
});

test('a promoted side opens by the global name server while its peer is dead', async () => {
  await stage.kill('east');
  await killAndStart('west');
  await stage.until('west', 'open', ({ writeState }) => writeState === 'open');
  expect(await send('west', 'after the restart')).toBe(0);
});

test('with nobody reachable it stays closed, says so, and a repeated promotion does not open it', async () => {
  await stage.kill('global');
  await killAndStart('west');
  expect(await promote()).toMatchObject({ epoch: 2 });
  await stage.until('west', 'closed', ({ writeState }) => writeState === 'closed');
  const health = await waitFor('west to explain', async () => {
    const found = await stage.health('west');
    return found?.reasons.some((reason) => reason.includes('dr activate')) ? found : undefined;
  });
  expect(health.ready).toBe(false);
  expect(await send('west', 'closed')).toBe(14);
});
