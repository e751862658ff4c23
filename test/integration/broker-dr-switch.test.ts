// The planned switch by hand, step by step over signed requests, between two real brokers; every proof
// that must fail, every abort, and what clients see meanwhile.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPeerClient } from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type PromoteResult,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { READERS_HEARTBEAT, RegionPair } from '../support/region-pair.ts';
import { logBytes } from '../support/small-store.ts';

let pair: RegionPair;
const OP = { opId: 'op-1' };
const QUEUE = { topic: 'TopicTest', queueId: 0 };

beforeEach(async () => {
  pair = await RegionPair.start();
});
afterEach(() => pair.stop());

async function sendMany(count: number, prefix = 'm'): Promise<void> {
  for (let i = 0; i < count; i++) {
    const response = await pair.send(pair.east.address, `${prefix}${i} ${'x'.repeat(500)}`);
    expect(response.code).toBe(0);
  }
}

/** Fence, seal, drain, final sync: everything before the point of no return. */
async function prepare(op = OP): Promise<SealedTailToken> {
  await pair.ask('east', DR_CODE.FENCE, { ...op, deadlineMs: 60_000 });
  const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, op);
  await pair.west.link?.copyTo(token.logEnd);
  await pair.ask('west', DR_CODE.LINK_HALT, op);
  await pair.ask('west', DR_CODE.FINAL_SYNC, op);
  return token;
}

const promote = (token: SealedTailToken | null, more: object = {}) =>
  pair.ask<PromoteResult>('west', DR_CODE.PROMOTE, {
    ...OP,
    fromEpoch: pair.status('west').epoch,
    token,
    forced: token === null,
    ...more,
  });

const relay = () =>
  pair.ask('east', DR_CODE.RELAY_START, {
    ...OP,
    target: pair.west.address,
    region: 'west',
    epoch: 2,
  });

const bodiesOf = async (name: 'east' | 'west'): Promise<string[]> => {
  const { store } = pair[name].broker ?? {};
  const bodies: string[] = [];
  if (store === undefined) return bodies;
  for await (const record of store.scan(0, store.storeBounds().maxOffset)) {
    if (record.topic === 'TopicTest')
      bodies.push(/[mp]\d+ /.exec(record.bytes.toString())?.[0] ?? '');
  }
  return bodies.map((body) => body.trim());
};

describe('planned switch', () => {
  it('moves everything, shows clients latency and no error, and runs back', async () => {
    await sendMany(120);
    const token = await prepare();
    const parked = [0, 1, 2].map((i) => pair.send(pair.east.address, `p${i} parked`));
    await pair.until('east', (status) => status.parkedSends === 3);
    const promoted = await promote(token);
    expect(promoted).toMatchObject({ epoch: 2, startOffset: token.logEnd });
    const status = await relay();
    expect(status.relay).toMatchObject({ target: pair.west.address, epoch: 2 });
    for (const response of await Promise.all(parked)) expect(response.code).toBe(0);
    // The client of before and a new one, both still at the old address.
    expect((await pair.send(pair.east.address, 'p3 old connection')).code).toBe(0);
    const late = createPeerClient();
    expect((await pair.send(pair.east.address, 'p4 new', { peer: late })).code).toBe(0);
    late.close();
    const expected = [
      ...Array.from({ length: 120 }, (_, i) => `m${i}`),
      ...['p0', 'p1', 'p2', 'p3', 'p4'],
    ];
    expect(await bodiesOf('west')).toEqual(expected);
    expect(pair.west.broker?.store.bounds(QUEUE)?.max).toBe(125);
    expect((await bodiesOf('east')).length).toBe(120);
    expect(pair.west.link?.stops).toBe(1);

    await pair.ask('east', DR_CODE.REVERSE, {
      ...OP,
      source: pair.west.address,
      sourceRegion: 'west',
      epoch: 2,
    });
    expect(pair.status('east')).toMatchObject({ role: 'standby', epoch: 2 });
    expect(pair.east.link?.reversals.length).toBe(1);
    const attached = await pair.east.link?.attach();
    expect(attached?.verdict).toBe('resume');
    expect(pair.east.link?.exports).toEqual([]);
    const end = pair.status('west').maxOffset;
    await pair.east.link?.copyTo(end);
    const east = logBytes(pair.east.root, 0, end);
    expect(east.equals(logBytes(pair.west.root, 0, end))).toBe(true);
    // The relay goes on although its broker is a standby now.
    expect((await pair.send(pair.east.address, 'p5 over a standby')).code).toBe(0);
    await pair.ask('east', DR_CODE.RELAY_STOP, OP);
    const refused = await pair.send(pair.east.address, 'p6', { peer: createAndKeep() });
    expect(refused).toMatchObject({ code: 16, remark: 'fenced at epoch 2, active region west' });
  });

  it('replays the heartbeat, so that the promoted side knows the group of an old connection', async () => {
    const reader = createAndKeep();
    const body = JSON.stringify(READERS_HEARTBEAT);
    await reader.call(pair.east.address, { code: 34, body }, 20_000);
    const token = await prepare();
    await promote(token);
    await relay();
    const members = () =>
      pair.peer.invoke(pair.west.address, { code: 38, ext: { consumerGroup: 'readers' } }, 20_000);
    await expect.poll(async () => (await members()).body?.toString() ?? '').toContain('client-1');
  });

  it('loses, doubles and reorders nothing of clients that send all the time', async () => {
    const clients = Array.from({ length: 4 }, () => createAndKeep());
    const stop = new AbortController();
    const acked: string[][] = [];
    const refused: string[] = [];
    const senders = clients.map(async (peer, id) => {
      const own: string[] = [];
      acked.push(own);
      for (let round = 0; !stop.signal.aborted; round++) {
        // Eight in flight per connection: the order on the wire is the order in the log.
        const bodies = Array.from({ length: 8 }, (_, i) => `m${(id + 1) * 1e6 + round * 8 + i} `);
        const sent = bodies.map((body) => pair.send(pair.east.address, body, { peer }));
        for (const [i, response] of (await Promise.all(sent)).entries()) {
          if (response.code === 0) own.push(bodies[i]?.trim() ?? '');
          else refused.push(`${response.code} ${response.remark}`);
        }
      }
    });
    const total = () => acked.reduce((sum, own) => sum + own.length, 0);
    const grown = async (by: number) => {
      const target = total() + by;
      await expect.poll(() => total() >= target).toBe(true);
    };
    await grown(200);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    const token = await prepare();
    await promote(token);
    await relay();
    await grown(200);
    stop.abort();
    await Promise.all(senders);
    expect(refused).toEqual([]);
    const stored = await bodiesOf('west');
    for (const [id, own] of acked.entries()) {
      const mine = stored.filter((body) => body.startsWith(`m${id + 1}`) && body.length === 8);
      expect(mine).toEqual(own);
    }
    expect(stored.length).toBe(total());
  });

  it('answers held pulls at the fence and goes on holding them at the new side', async () => {
    await sendMany(1);
    const reader = createAndKeep();
    const pull = (queueOffset: number) =>
      reader.invoke(
        pair.east.address,
        {
          code: 11,
          ext: {
            consumerGroup: 'readers',
            topic: 'TopicTest',
            queueId: 0,
            queueOffset,
            maxMsgNums: 32,
            sysFlag: 2 | 4,
            commitOffset: 0,
            suspendTimeoutMillis: 15_000,
            subscription: '*',
            subVersion: 0,
            expressionType: 'TAG',
          },
        },
        20_000,
      );
    const heartbeat = JSON.stringify({
      clientID: 'reader-1',
      producerDataSet: [],
      consumerDataSet: [
        {
          groupName: 'readers',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
          subscriptionDataSet: [
            {
              classFilterMode: false,
              codeSet: [],
              expressionType: 'TAG',
              subString: '*',
              subVersion: 0,
              tagsSet: [],
              topic: 'TopicTest',
            },
          ],
          unitMode: false,
        },
      ],
    });
    await reader.call(pair.east.address, { code: 34, body: heartbeat }, 20_000);
    expect((await pull(0)).code).toBe(0);
    const held = pull(1);
    const token = await prepare();
    expect((await held).code).toBe(19);
    await promote(token);
    await relay();
    const next = pull(1);
    expect((await pair.send(pair.west.address, 'p0 new')).code).toBe(0);
    const found = await next;
    expect(found.code).toBe(0);
    expect(found.body?.toString()).toContain('p0 new');
  });

  it('lets clients wait although the sealed side hears of its successor before the relay', async () => {
    await sendMany(3);
    const token = await prepare();
    await promote(token);
    const parked = pair.send(pair.east.address, 'p0 parked');
    await pair.until('east', (status) => status.writeState === 'deposed');
    const later = pair.send(pair.east.address, 'p1 after that');
    await pair.until('east', (status) => status.parkedSends === 2);
    await relay();
    expect((await parked).code).toBe(0);
    expect((await later).code).toBe(0);
    expect(await bodiesOf('west')).toEqual(['m0', 'm1', 'm2', 'p0', 'p1']);
  });

  it('goes on relaying after a restart of the sealed side', async () => {
    await sendMany(1);
    const token = await prepare();
    await promote(token);
    await relay();
    await pair.down('east');
    await pair.up('east');
    const late = createAndKeep();
    expect((await pair.send(pair.east.address, 'p0 late', { peer: late })).code).toBe(0);
    expect(await bodiesOf('west')).toEqual(['m0', 'p0']);
  });

  it('refuses with code 16 in time what nobody relays', async () => {
    const token = await prepare();
    const parked = pair.send(pair.east.address, 'p0 parked');
    await promote(token);
    expect(await parked).toMatchObject({
      code: 16,
      remark: 'fenced at epoch 2, active region west',
    });
    expect(await bodiesOf('west')).toEqual([]);
  });

  it('keeps answering controllers itself while clients are relayed', async () => {
    const token = await prepare();
    await promote(token);
    await relay();
    const status = await pair.ask<DrStatus>('east', DR_CODE.STATUS);
    expect(status.region).toBe('east');
  });
});

describe('proof', () => {
  it('refuses a copy in which one byte differs, and stays a standby', async () => {
    await sendMany(10);
    // Byte 19 of a record is part of its flag: no record CRC covers it.
    if (pair.west.link) pair.west.link.tamper = (_offset, bytes) => (bytes[19] = 1);
    const token = await prepare();
    await expect(promote(token)).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      message: expect.stringContaining('bytes of the last log file differ'),
    });
    expect(pair.status('west')).toMatchObject({ role: 'standby', writeState: 'standby' });
    expect((await pair.send(pair.west.address, 'p0')).code).toBe(16);
  });

  it('refuses when one consumer offset differs and goes through after the final sync', async () => {
    await sendMany(10);
    const token = await prepareWithoutSync();
    await expect(promote(token)).rejects.toThrow('offsets');
    await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
    expect((await promote(token)).epoch).toBe(2);
  });

  it('refuses a copy that lacks the last record', async () => {
    await sendMany(10);
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
    await pair.west.link?.copyTo(token.logEnd - 1);
    await pair.ask('west', DR_CODE.LINK_HALT, OP);
    await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
    await expect(promote(token)).rejects.toMatchObject({ code: 'VERIFY_FAILED' });
    await pair.west.link?.copyTo(token.logEnd);
    expect((await promote(token)).epoch).toBe(2);
  });

  it('refuses another epoch, a missing token and an unsigned request', async () => {
    const token = await prepare();
    await expect(promote(token, { fromEpoch: 0 })).rejects.toMatchObject({ code: 'FENCED' });
    await expect(promote(null, { forced: false })).rejects.toMatchObject({ code: 'REFUSED' });
    const unsigned = { code: DR_CODE.SEAL, body: JSON.stringify(OP) };
    expect((await pair.peer.invoke(pair.west.address, unsigned, 20_000)).code).toBe(16);
    expect(pair.status('west').writeState).toBe('standby');
  });

  async function prepareWithoutSync(): Promise<SealedTailToken> {
    const ext = { consumerGroup: 'readers', topic: 'TopicTest', queueId: 0, commitOffset: 7 };
    await pair.peer.call(pair.east.address, { code: 15, ext }, 20_000);
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const late = await pair.peer.invoke(pair.east.address, { code: 15, ext }, 20_000);
    expect(late.code).toBe(16);
    const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
    await pair.west.link?.copyTo(token.logEnd);
    await pair.ask('west', DR_CODE.LINK_HALT, OP);
    return token;
  }
});

describe('abort', () => {
  it('appends parked sends exactly once and in order when the fence expires', async () => {
    await sendMany(3);
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 300 });
    const parked = Array.from({ length: 20 }, (_, i) => pair.send(pair.east.address, `p${i} x`));
    for (const response of await Promise.all(parked)) expect(response.code).toBe(0);
    expect((await pair.ask('east', DR_CODE.STATUS)).writeState).toBe('open');
    expect(await bodiesOf('east')).toEqual([
      ...['m0', 'm1', 'm2'],
      ...Array.from({ length: 20 }, (_, i) => `p${i}`),
    ]);
  });

  it('unfences: parked sends are answered', async () => {
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const parked = pair.send(pair.east.address, 'p0 x');
    await pair.until('east', (status) => status.parkedSends === 1);
    await pair.ask('east', DR_CODE.UNFENCE, OP);
    expect((await parked).code).toBe(0);
  });

  it('unseals with the opId that sealed and no other; the link goes on', async () => {
    await sendMany(3);
    await prepare();
    await expect(pair.ask('east', DR_CODE.UNSEAL, { opId: 'other' })).rejects.toMatchObject({
      code: 'REFUSED',
    });
    expect((await pair.ask('east', DR_CODE.UNSEAL, OP)).writeState).toBe('open');
    await sendMany(3, 'p');
    const end = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(end);
    expect(pair.status('west').maxOffset).toBe(end);
    await expect(
      pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 }),
    ).rejects.toMatchObject({ code: 'REFUSED' });
  });

  it('answers a repeated promote and refuses to unseal behind it', async () => {
    await sendMany(3);
    const token = await prepare();
    const first = await promote(token);
    const again = await promote(token, { fromEpoch: 1 });
    expect(again).toEqual(first);
    await expect(pair.ask('east', DR_CODE.UNSEAL, OP)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(pair.status('east').writeState).toBe('deposed');
    await expect(
      pair.ask('west', DR_CODE.PROMOTE, { opId: 'op-2', fromEpoch: 1, token, forced: false }),
    ).rejects.toMatchObject({ code: 'FENCED' });
  });

  it('keeps the seal over a restart and is unsealed by its own operation', async () => {
    await sendMany(3);
    const token = await prepare();
    await pair.down('east');
    await pair.up('east');
    expect(pair.status('east').writeState).toBe('sealed');
    expect(await pair.ask('east', DR_CODE.SEAL, OP)).toEqual(token);
    await pair.ask('east', DR_CODE.UNSEAL, OP);
    await pair.until('east', (status) => status.writeState === 'open');
    expect((await pair.send(pair.east.address, 'p0 x')).code).toBe(0);
  });
});

const kept: ReturnType<typeof createPeerClient>[] = [];
function createAndKeep() {
  const client = createPeerClient();
  kept.push(client);
  return client;
}
afterEach(() => {
  for (const client of kept.splice(0)) client.close();
});
