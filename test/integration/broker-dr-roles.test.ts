// Who may write after a boot, a failover and a return: a closed store refuses on every path, an old
// primary is deposed for good, its tail is exported before it is cut.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Epoch } from '../../core-broker/base/index.ts';
import { DR_CODE, type DrStatus, type PromoteResult } from '../../core-broker/protocol/index.ts';
import { RegionPair } from '../support/region-pair.ts';
import { appendMessage, logBytes } from '../support/small-store.ts';

let pair: RegionPair;
const OP = { opId: 'op-1' };

beforeEach(async () => {
  pair = await RegionPair.start({ standbyGroups: ['near'] });
});
afterEach(() => pair.stop());

const storeOf = (name: 'east' | 'west') => {
  const { broker } = pair[name];
  if (broker === undefined) throw new Error(`${name} is down`);
  return broker.store;
};

async function sendMany(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const response = await pair.send(pair.east.address, `m${i} ${'x'.repeat(300)}`);
    expect(response.code).toBe(0);
  }
}

async function failover(opId = 'failover'): Promise<PromoteResult> {
  await pair.ask('west', DR_CODE.LINK_HALT, { opId });
  return pair.ask<PromoteResult>('west', DR_CODE.PROMOTE, {
    opId,
    fromEpoch: pair.status('west').epoch,
    token: null,
    forced: true,
  });
}

describe('boot with nobody reachable', () => {
  it('refuses on every write path until the operator activates', async () => {
    await sendMany(2);
    const delayed = await pair.send(pair.east.address, 'd0 later', { properties: 'DELAY\u00011' });
    expect(delayed.code).toBe(0);
    const offset = Number(BigInt(`0x${delayed.ext['msgId']?.slice(16) ?? ''}`));
    await pair.down('west');
    await pair.down('east');
    await pair.up('east');
    const end = storeOf('east').storeBounds().maxOffset;
    const { east } = pair;

    expect(pair.status('east').writeState).toBe('closed');
    expect((await pair.send(east.address, 'm9')).code).toBe(14);
    const ext = { group: 'readers', offset, delayLevel: 0, originTopic: 'TopicTest' };
    const back = await pair.peer.invoke(east.address, { code: 36, ext }, 20_000);
    expect(back.code).not.toBe(0);
    expect(() => appendMessage(storeOf('east'), { topic: 'TopicTest', body: 'm9' })).toThrow(
      'closed',
    );
    expect(() => east.broker?.sink?.append(end, Buffer.alloc(100), 1 as Epoch)).toThrow('closed');
    // The delayed message is long due now; nobody may deliver it.
    const due = Date.now() + 1_500;
    await expect.poll(() => Date.now() > due).toBe(true);
    expect(storeOf('east').storeBounds().maxOffset).toBe(end);
    expect(east.broker?.health().reasons.join()).toContain('dr activate --epoch 1');

    await expect(pair.ask('east', DR_CODE.ACTIVATE, { ...OP, epoch: 7 })).rejects.toMatchObject({
      code: 'FENCED',
    });
    const opened = await pair.ask<DrStatus>('east', DR_CODE.ACTIVATE, { ...OP, epoch: 1 });
    expect(opened.writeState).toBe('open');
    expect((await pair.send(east.address, 'm9')).code).toBe(0);
    await expect
      .poll(() => storeOf('east').bounds({ topic: 'TopicTest', queueId: 0 })?.max)
      .toBe(4);
  });

  it('opens by itself when the peer appears', async () => {
    await pair.down('west');
    await pair.down('east');
    await pair.up('east');
    expect(pair.status('east').writeState).toBe('closed');
    await pair.up('west');
    await pair.until('east', (status) => status.writeState === 'open');
  });

  it('refuses on every path of a standby too', async () => {
    await sendMany(1);
    const end = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(end);
    await pair.west.link?.finalSync();
    expect((await pair.send(pair.west.address, 'm9')).code).toBe(16);
    expect(() => appendMessage(storeOf('west'), { topic: 'TopicTest', body: 'm9' })).toThrow();
    expect(() => pair.west.broker?.sink?.append(end, Buffer.alloc(9), 7 as Epoch)).toThrow('epoch');
    const commit = (consumerGroup: string) =>
      pair.peer.invoke(
        pair.west.address,
        { code: 15, ext: { consumerGroup, topic: 'TopicTest', queueId: 0, commitOffset: 1 } },
        3_000,
      );
    expect((await commit('near')).code).toBe(0);
    expect((await commit('far')).code).toBe(16);
    expect(storeOf('west').storeBounds().maxOffset).toBe(end);
  });
});

describe('failover', () => {
  it('promotes from the validated end and deposes the old primary when it comes back', async () => {
    await sendMany(20);
    const copied = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(copied);
    await sendMany(5);
    const lost = pair.status('east').maxOffset;
    await pair.down('east');
    expect(await failover()).toMatchObject({ epoch: 2, startOffset: copied });
    expect((await pair.send(pair.west.address, 'p0 new epoch')).code).toBe(0);
    expect(storeOf('west').bounds({ topic: 'TopicTest', queueId: 0 })?.max).toBe(21);

    await pair.up('east');
    await pair.until('east', (status) => status.writeState === 'deposed');
    const refused = await pair.send(pair.east.address, 'p1');
    expect(refused).toMatchObject({ code: 16, remark: 'fenced at epoch 2, active region west' });
    // Durably: also with nobody left to tell it.
    await pair.down('east');
    await pair.down('west');
    await pair.up('east');
    expect(pair.status('east').writeState).toBe('deposed');
    await expect(pair.ask('east', DR_CODE.ACTIVATE, { ...OP, epoch: 1 })).rejects.toMatchObject({
      code: 'REFUSED',
    });
    await pair.up('west');
    await pair.until('west', (status) => status.writeState === 'open');
    await reinstate({ copied, lost });
  });

  /** The old primary follows the new one: its tail goes to a file first, then the logs are equal. */
  async function reinstate(at: { copied: number; lost: number }): Promise<void> {
    const tail = logBytes(pair.east.root, at.copied, at.lost);
    await pair.ask('east', DR_CODE.REVERSE, {
      ...OP,
      source: pair.west.address,
      sourceRegion: 'west',
      epoch: 2,
    });
    const end = pair.status('west').maxOffset;
    await pair.east.link?.copyTo(end);
    const [file = ''] = pair.east.link?.exports ?? [];
    expect(file).toContain(`drTail-2-${at.copied}.log`);
    expect(fs.readFileSync(file).equals(tail)).toBe(true);
    expect(logBytes(pair.east.root, 0, end).equals(logBytes(pair.west.root, 0, end))).toBe(true);
    expect(pair.status('east').lineage).toEqual(pair.status('west').lineage);
  }

  it('deposes a side that is still writing when it hears of its successor', async () => {
    await sendMany(3);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    await failover();
    await pair.until('east', (status) => status.writeState === 'deposed');
    expect((await pair.send(pair.east.address, 'p1')).code).toBe(16);
    expect((await pair.west.link?.ask())?.verdict).toBe('refused');
  });

  it('gives one region an epoch: the second promote of it is refused', async () => {
    await sendMany(1);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    const first = await failover('one');
    expect(
      await pair.ask('west', DR_CODE.PROMOTE, {
        opId: 'one',
        fromEpoch: 1,
        token: null,
        forced: true,
      }),
    ).toEqual(first);
    await expect(
      pair.ask('west', DR_CODE.PROMOTE, { opId: 'two', fromEpoch: 1, token: null, forced: true }),
    ).rejects.toMatchObject({ code: 'FENCED' });
  });
});

describe('power loss of the source', () => {
  it('cuts the standby back to what the source still has, and exports what it had more', async () => {
    await sendMany(10);
    const kept = pair.status('east').maxOffset;
    await sendMany(5);
    const end = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(end);
    const lost = logBytes(pair.west.root, kept, end);
    await pair.down('east');
    forgetTail(pair.east.root, kept);
    await pair.up('east');
    await pair.until('east', (status) => status.writeState === 'open');
    expect(pair.status('east').maxOffset).toBe(kept);
    expect(pair.status('east').lineage.at(-1)?.startOffset).toBe(kept);
    // Other bytes at the same offsets, more of them than were lost.
    for (let i = 0; i < 8; i++) {
      expect((await pair.send(pair.east.address, `p${i} ${'y'.repeat(300)}`)).code).toBe(0);
    }
    expect(await pair.west.link?.ask()).toMatchObject({ verdict: 'truncate', truncateTo: kept });
    const now = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(now);
    const [file = ''] = pair.west.link?.exports ?? [];
    expect(file).toContain(`drTail-1-${kept}.log`);
    expect(fs.readFileSync(file).equals(lost)).toBe(true);
    expect(logBytes(pair.west.root, 0, now).equals(logBytes(pair.east.root, 0, now))).toBe(true);
    expect(storeOf('west').bounds({ topic: 'TopicTest', queueId: 0 })?.max).toBe(18);
  });

  /** What a power cut leaves: the pages behind `kept` were never written, the abort marker is there. */
  function forgetTail(root: string, kept: number): void {
    const file = path.join(root, 'commitlog', '0'.repeat(20));
    const handle = fs.openSync(file, 'r+');
    const size = fs.fstatSync(handle).size;
    fs.writeSync(handle, Buffer.alloc(size - kept), 0, size - kept, kept);
    fs.closeSync(handle);
    fs.writeFileSync(path.join(root, 'abort'), '');
  }
});

describe('lease', () => {
  it('stops acknowledging when no peer answers and goes on when one does', async () => {
    await pair.stop();
    pair = await RegionPair.start({ leaseMs: 2_500 });
    await sendMany(1);
    await pair.down('west');
    await pair.until('east', (status) => status.writeState === 'fenced');
    expect((await pair.send(pair.east.address, 'm9')).code).toBe(16);
    await pair.up('west');
    await pair.until('east', (status) => status.writeState === 'open');
    await sendMany(1);
    expect(storeOf('east').bounds({ topic: 'TopicTest', queueId: 0 })?.max).toBe(2);
  });
});

describe('link', () => {
  it('reports lag that ends at zero and names the queues that changed', async () => {
    await sendMany(10);
    const half = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(half);
    const level = await pair.west.link?.status(half);
    expect(level).toMatchObject({ lagMessages: 0, oldestUnsharedMs: 0, maxOffset: half });
    expect(level?.queueMaxima['TopicTest@0']).toBe(10);
    await sendMany(6);
    const behind = await pair.west.link?.status(half, half);
    expect(behind?.lagMessages).toBe(6);
    expect(behind?.oldestUnsharedMs).toBeGreaterThan(0);
    expect(behind?.oldestUnsharedMs).toBeLessThanOrEqual(behind?.nowMs ?? 0);
    expect(behind?.queueMaxima).toEqual({ 'TopicTest@0': 16 });
    expect(await pair.west.link?.status(0, -1)).toMatchObject({ lagMessages: 16, queueMaxima: {} });
    // Not a record boundary and below the log: the lag is answered all the same.
    for (const position of [half + 1, -1]) {
      const odd = await pair.west.link?.status(position, -1);
      expect(odd?.oldestUnsharedMs).toBeGreaterThan(0);
      expect(odd?.lagMessages).toBeGreaterThan(0);
    }
  });

  it('refuses a copy whose last record differs, the same store, and a replaced link', async () => {
    await sendMany(10);
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    const { link } = pair.west;
    expect(await link?.ask({ lastRecordCrc: 1 })).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('differs'),
    });
    expect(await link?.ask({ storeId: pair.status('east').storeId })).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('one store'),
    });
    expect((await link?.ask({ linkId: 'newer' }))?.verdict).toBe('resume');
    expect(await link?.ask()).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('replaced'),
    });
    await expect(link?.status(0)).rejects.toMatchObject({ code: 'REFUSED' });
  });

  it('deposes a source that is asked by a standby of a newer epoch', async () => {
    expect((await pair.west.link?.ask({ epoch: 5 }))?.verdict).toBe('refused');
    expect(pair.status('east')).toMatchObject({ writeState: 'deposed', activeEpoch: 5 });
  });
});
