// Requests that arrive when their operation is over: a promotion delayed past an abort, a halt, a fence or
// a seal of an operation that was given up, also after a restart; and the way back after a promotion.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPeerClient } from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  type PromoteResult,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { type RegionName, RegionPair } from '../support/region-pair.ts';

let pair: RegionPair;
const OP = { opId: 'op-1' };
const REFUSED = { code: 'REFUSED' };

beforeEach(async () => {
  pair = await RegionPair.start();
});
afterEach(() => pair.stop());

async function sendMany(count: number, to: RegionName = 'east'): Promise<void> {
  for (let i = 0; i < count; i++) {
    expect((await pair.send(pair[to].address, `m${i} ${'x'.repeat(200)}`)).code).toBe(0);
  }
}

interface Switch {
  from: RegionName;
  to: RegionName;
  opId: string;
}
const FORTH: Switch = { from: 'east', to: 'west', opId: 'op-1' };
const BACK: Switch = { from: 'west', to: 'east', opId: 'op-2' };

async function sealAndDrain({ from, to, opId }: Switch): Promise<SealedTailToken> {
  await pair.ask(from, DR_CODE.FENCE, { opId, deadlineMs: 60_000 });
  const token = await pair.ask<SealedTailToken>(from, DR_CODE.SEAL, { opId });
  await pair[to].link?.copyTo(token.logEnd);
  return token;
}

/** Everything before the point of no return. */
async function prepare(change: Switch = FORTH): Promise<SealedTailToken> {
  const token = await sealAndDrain(change);
  await pair.ask(change.to, DR_CODE.LINK_HALT, { opId: change.opId });
  await pair.ask(change.to, DR_CODE.FINAL_SYNC, { opId: change.opId });
  return token;
}

const promote = (token: SealedTailToken | null, { to, opId }: Switch = FORTH) =>
  pair.ask<PromoteResult>(to, DR_CODE.PROMOTE, {
    opId,
    fromEpoch: pair.status(to).epoch,
    token,
    forced: token === null,
  });

async function switchWhole(change: Switch): Promise<void> {
  const { epoch } = await promote(await prepare(change), change);
  const { from, to, opId } = change;
  const target = pair[to].address;
  await pair.ask(from, DR_CODE.RELAY_START, { opId, target, region: to, epoch });
  await pair.ask(from, DR_CODE.REVERSE, { opId, source: target, sourceRegion: to, epoch });
}

const isStandbyOfOne = () =>
  expect(pair.status('west')).toMatchObject({ role: 'standby', epoch: 1 });

describe('a promotion', () => {
  it('needs the link halted by the same operation, planned and forced', async () => {
    await sendMany(3);
    const token = await sealAndDrain(FORTH);
    await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
    await expect(promote(token)).rejects.toMatchObject(REFUSED);
    await expect(promote(null)).rejects.toMatchObject(REFUSED);
    await pair.ask('west', DR_CODE.LINK_HALT, { opId: 'other' });
    await expect(promote(token)).rejects.toMatchObject(REFUSED);
    isStandbyOfOne();
  });

  it('that was delayed past its abort is refused, whatever comes before it', async () => {
    await sendMany(3);
    const token = await prepare();
    await pair.ask('west', DR_CODE.LINK_RESUME, OP);
    expect((await pair.ask('east', DR_CODE.UNSEAL, OP)).writeState).toBe('open');
    await expect(promote(token)).rejects.toMatchObject(REFUSED);
    await expect(promote(null)).rejects.toMatchObject(REFUSED);
    await expect(pair.ask('west', DR_CODE.LINK_HALT, OP)).rejects.toMatchObject(REFUSED);
    await pair.down('west');
    await pair.up('west');
    await expect(pair.ask('west', DR_CODE.LINK_HALT, OP)).rejects.toMatchObject(REFUSED);
    await expect(promote(token)).rejects.toMatchObject(REFUSED);
    isStandbyOfOne();
    // A new operation is not held up by it.
    expect(
      await promote(await prepare({ ...FORTH, opId: 'op-9' }), { ...FORTH, opId: 'op-9' }),
    ).toMatchObject({ epoch: 2 });
  });

  it('is given up before it was halted: the late halt is refused as well', async () => {
    await pair.ask('west', DR_CODE.LINK_RESUME, OP);
    await expect(pair.ask('west', DR_CODE.LINK_HALT, OP)).rejects.toMatchObject(REFUSED);
  });

  it('is not given up once it happened', async () => {
    await sendMany(3);
    await promote(await prepare());
    await expect(pair.ask('west', DR_CODE.LINK_RESUME, OP)).rejects.toMatchObject(REFUSED);
    expect(pair.status('west')).toMatchObject({ role: 'active', epoch: 2, writeState: 'open' });
    await pair.down('west');
    await pair.up('west');
    await expect(pair.ask('west', DR_CODE.LINK_RESUME, OP)).rejects.toMatchObject(REFUSED);
  });

  it('leaves the halt of another operation alone when that one is not its own', async () => {
    await pair.ask('west', DR_CODE.LINK_HALT, { opId: 'other' });
    await expect(pair.ask('west', DR_CODE.LINK_RESUME, OP)).rejects.toMatchObject(REFUSED);
    expect(pair.status('west').link?.haltedBy).toBe('other');
  });

  it('is not answered again by a side that was replaced meanwhile', async () => {
    await sendMany(2);
    await promote(await prepare());
    // East hears of epoch 3 somewhere: whoever asks west for its old answer must hear it too.
    await pair.west.link?.ask({ epoch: 1 }).catch(() => undefined);
    const attach = { linkId: 'l', epoch: 3, position: 0, lastRecordCrc: 0, lineage: [] };
    await pair.ask('west', DR_CODE.LINK_ATTACH, attach);
    expect(pair.status('west').writeState).toBe('deposed');
    const again = pair.ask('west', DR_CODE.PROMOTE, {
      ...OP,
      fromEpoch: 1,
      token: null,
      forced: true,
    });
    await expect(again).rejects.toMatchObject({ code: 'FENCED' });
  });
});

describe('the old side of an aborted operation', () => {
  const fence = (opId = OP.opId) => pair.ask('east', DR_CODE.FENCE, { opId, deadlineMs: 60_000 });

  it('refuses its late fence and seal, also after a restart', async () => {
    await fence();
    await pair.ask('east', DR_CODE.SEAL, OP);
    await pair.ask('east', DR_CODE.UNSEAL, OP);
    await expect(fence()).rejects.toMatchObject(REFUSED);
    await expect(pair.ask('east', DR_CODE.SEAL, OP)).rejects.toMatchObject(REFUSED);
    await pair.down('east');
    await pair.up('east');
    await pair.until('east', (status) => status.writeState === 'open');
    await expect(fence()).rejects.toMatchObject(REFUSED);
    expect((await fence('op-2')).writeState).toBe('fenced');
  });

  it('gives an operation up of which nothing is set', async () => {
    expect((await pair.ask('east', DR_CODE.UNFENCE, OP)).writeState).toBe('open');
    expect((await pair.ask('east', DR_CODE.UNSEAL, { opId: 'op-3' })).writeState).toBe('open');
    await expect(fence()).rejects.toMatchObject(REFUSED);
    await expect(fence('op-3')).rejects.toMatchObject(REFUSED);
    await fence('op-2');
    // Undoing another operation lifts nothing of this one.
    expect((await pair.ask('east', DR_CODE.UNFENCE, { opId: 'op-4' })).writeState).toBe('fenced');
    await pair.ask('east', DR_CODE.SEAL, { opId: 'op-2' });
    expect((await pair.ask('east', DR_CODE.UNFENCE, { opId: 'op-4' })).writeState).toBe('sealed');
    await expect(pair.ask('east', DR_CODE.UNFENCE, { opId: 'op-2' })).rejects.toMatchObject(
      REFUSED,
    );
  });

  it('lifts a fence by UNSEAL too, since nothing of the operation may stay', async () => {
    await fence();
    expect((await pair.ask('east', DR_CODE.UNSEAL, OP)).writeState).toBe('open');
  });
});

describe('there and back', () => {
  const open: ReturnType<typeof createPeerClient>[] = [];
  const client = () => {
    const peer = createPeerClient();
    open.push(peer);
    return peer;
  };
  afterEach(() => {
    for (const peer of open.splice(0)) peer.close();
  });

  it('stops the relay of the side that is promoted again, old connections too', async () => {
    const peer = client();
    await sendMany(3);
    expect((await pair.send(pair.east.address, 'm3 x', { peer })).code).toBe(0);
    await switchWhole(FORTH);
    // The relay outlives the reversal: east is a standby and still serves its clients.
    expect((await pair.send(pair.east.address, 'm4 x', { peer })).code).toBe(0);
    expect(pair.status('east').relay?.connections).toBeGreaterThan(0);
    await switchWhole(BACK);
    expect(pair.status('east')).toMatchObject({ role: 'active', epoch: 3, relay: undefined });
    expect(pair.status('west')).toMatchObject({ role: 'standby', epoch: 3 });
    await pair.until('west', ({ relay }) => relay?.connections === 0);
    // Served where it was sent, by one hop: nothing of it passes west.
    const answer = await pair
      .send(pair.east.address, 'm5 x', { peer })
      .catch(() => pair.send(pair.east.address, 'm5 x', { peer }));
    expect(answer.code).toBe(0);
    expect(pair.status('west').relay?.connections).toBe(0);
    expect((await pair.send(pair.west.address, 'm6 x', { peer: client() })).code).toBe(0);
    expect(pair.status('west').relay?.connections).toBe(1);
    const { store } = pair.east.broker ?? {};
    await expect.poll(() => store?.bounds({ topic: 'TopicTest', queueId: 0 })?.max).toBe(7);
    await pair.down('east');
    await pair.up('east');
    expect(pair.status('east').relay).toBeUndefined();
  });

  it('refuses a relay to an epoch that is not above the one it wrote', async () => {
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    await pair.ask('east', DR_CODE.SEAL, OP);
    const body = { ...OP, target: pair.west.address, region: 'west', epoch: 1 };
    await expect(pair.ask('east', DR_CODE.RELAY_START, body)).rejects.toMatchObject({
      code: 'FENCED',
    });
  });

  it('names the source before the store becomes its standby', async () => {
    await sendMany(1);
    await promote(await prepare());
    const { link, broker } = pair.east;
    const roles: unknown[] = [];
    if (link) link.noteSource = () => roles.push(broker?.status()?.role);
    const body = { ...OP, source: pair.west.address, sourceRegion: 'west', epoch: 2 };
    await pair.ask('east', DR_CODE.REVERSE, body);
    expect(roles).toEqual(['active']);
  });
});
