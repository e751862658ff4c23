// Transactions over a change of regions: a half message of one side is ended or checked at the other.
import { afterEach, describe, expect, it } from 'vitest';
import { DR_CODE, type SealedTailToken } from '../../core-broker/protocol/index.ts';
import { RegionPair } from '../support/region-pair.ts';
import { COMMIT, HALF_TOPIC, TransactionClient } from '../support/transactions.ts';

const OP = { opId: 'op-1' };
const QUICK = {
  ...{ transactionCheckInterval: 30, transactionTimeOut: 50 },
  transactionCheckMax: 100_000,
};

let pair: RegionPair;
const clients: TransactionClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await pair.stop();
});

function clientAt(name: 'east' | 'west'): TransactionClient {
  const client = new TransactionClient(() => pair[name].address);
  clients.push(client);
  return client;
}

async function sealAndSync(): Promise<SealedTailToken> {
  const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
  await pair.west.link?.copyTo(token.logEnd);
  await pair.ask('west', DR_CODE.LINK_HALT, OP);
  await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
  return token;
}

const promote = (token: SealedTailToken | null) =>
  pair.ask('west', DR_CODE.PROMOTE, {
    ...OP,
    fromEpoch: pair.status('west').epoch,
    token,
    forced: token === null,
  });

const relay = () =>
  pair.ask('east', DR_CODE.RELAY_START, {
    ...OP,
    target: pair.west.address,
    region: 'west',
    epoch: 2,
  });

const halvesAt = (name: 'east' | 'west'): number =>
  pair[name].broker?.store.bounds({ topic: HALF_TOPIC, queueId: 0 })?.max ?? 0;

describe('a planned switch', () => {
  it('keeps an end that arrives in the middle, and the new side checks what is open', async () => {
    pair = await RegionPair.start({ values: { transactionCheckInterval: 50 } });
    const producer = clientAt('east');
    await producer.join();
    const ended = await producer.half('TopicTest', 'ended');
    await producer.half('TopicTest', 'open', { KEYS: 'k' });
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const token = await sealAndSync();
    const answer = producer.end(ended, COMMIT);
    await pair.until('east', (status) => status.parkedSends === 1);
    await promote(token);
    await relay();
    expect((await answer).code).toBe(0);
    const west = clientAt('west');
    await west.call(25, {}, 'transactionTimeOut=10\n');
    // The old connection, spliced through: the new side asks over it.
    await expect.poll(() => producer.checks.length).toBeGreaterThan(0);
    const check = producer.checks[0];
    expect(check?.record.body.toString()).toBe('open');
    if (check) await producer.end(check.ref, COMMIT, { fromTransactionCheck: true });
    expect(await west.bodies('TopicTest')).toEqual(['ended', 'open']);
    expect(producer.checks.map(({ record }) => record.body.toString())).not.toContain('ended');
  });
});

describe('a standby', () => {
  it('refuses ends with code 11 and checks nothing', async () => {
    pair = await RegionPair.start({ values: QUICK });
    const producer = clientAt('east');
    const half = await producer.half('TopicTest', 'x');
    await expect.poll(() => halvesAt('east')).toBeGreaterThan(2);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    const standby = clientAt('west');
    expect((await standby.end(half, COMMIT)).code).toBe(11);
    expect((await standby.call(323, { msgId: '0'.repeat(32) })).code).toBe(11);
    const copied = halvesAt('west');
    const seen = halvesAt('east');
    await expect.poll(() => halvesAt('east')).toBeGreaterThan(seen + 2);
    expect(halvesAt('west')).toBe(copied);
  });
});

describe('a failover', () => {
  it('finishes what was open, and its own transactions, with positions from before', async () => {
    pair = await RegionPair.start({ values: { ...QUICK, transactionTimeOut: 86_400_000 } });
    const before = clientAt('east');
    await before.join();
    const done = await before.half('TopicTest', 'done');
    await before.end(done, COMMIT);
    await before.half('TopicTest', 'open');
    // Not from the start: an end that comes later than this would find that it was asked for.
    await before.call(25, {}, 'transactionTimeOut=50\n');
    await expect.poll(() => before.checks.length).toBeGreaterThan(1);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    await pair.ask('west', DR_CODE.LINK_HALT, OP);
    await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
    const copied = halvesAt('west');
    await expect.poll(() => halvesAt('east')).toBeGreaterThan(copied + 2);
    await pair.down('east');
    await promote(null);
    const after = clientAt('west');
    after.answer = () => COMMIT;
    await after.join();
    await after.call(25, {}, 'transactionTimeOut=50\n');
    await after.half('TopicTest', 'new');
    const asked = () => new Set(after.checks.map(({ record }) => record.body.toString()));
    await expect.poll(() => [...asked()].sort()).toEqual(['new', 'open']);
    // Positions move on although a bound of the failover stood there: nothing is put again for ever.
    await expect.poll(() => after.unsettled()).toBe(0);
    const bodies = new Set(await after.bodies('TopicTest'));
    expect([...bodies].sort()).toEqual(['done', 'new', 'open']);
  });
});
