// What a promoted side must know beside the log: deleted topics, request modes, forbidden groups, timer
// times. Each was lost, or kept the switch from being made, when the copy left it out.
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  DR_CODE,
  type RequestInit,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { RegionPair } from '../support/region-pair.ts';

const OP = { opId: 'op-1' };
let pair: RegionPair;

beforeEach(async () => {
  pair = await RegionPair.start({ values: { timerWheelEnable: true } });
});
afterEach(() => pair.stop());

const call = (name: 'east' | 'west', code: number, more: Omit<RequestInit, 'code'> = {}) =>
  pair.peer.invoke(pair[name].address, { code, ...more }, 10_000);

const queueEnd = (name: 'east' | 'west', topic: string, queueId = 0): number =>
  pair[name].broker?.store.bounds({ topic, queueId })?.max ?? 0;

async function follow(): Promise<void> {
  await pair.east.broker?.store.dispatched();
  await pair.west.link?.copyTo(pair.status('east').maxOffset);
  await pair.west.link?.finalSync();
}

async function switchToWest(): Promise<void> {
  await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
  const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
  await pair.west.link?.copyTo(token.logEnd);
  await pair.ask('west', DR_CODE.LINK_HALT, OP);
  await pair.west.link?.finalSync();
  const { epoch: fromEpoch } = pair.status('west');
  await pair.ask('west', DR_CODE.PROMOTE, { ...OP, fromEpoch, token, forced: false });
}

async function sendMany(topic: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    expect((await pair.send(pair.east.address, `${topic} ${i}`, { topic })).code).toBe(0);
  }
}

it('a deleted topic keeps no switch from being made and does not come back', async () => {
  await sendMany('gone', 5);
  await sendMany('again', 5);
  await sendMany('stays', 2);
  await follow();
  expect(queueEnd('west', 'gone')).toBe(5);
  for (const topic of ['gone', 'again'])
    expect((await call('east', 215, { ext: { topic } })).code).toBe(0);
  await sendMany('again', 2);
  await switchToWest();
  expect(queueEnd('west', 'gone')).toBe(0);
  expect(queueEnd('west', 'again')).toBe(2);
  expect(queueEnd('west', 'stays')).toBe(2);
  // Also after a boot that builds the end of the queues anew.
  await pair.down('west');
  await pair.up('west');
  expect(queueEnd('west', 'gone')).toBe(0);
  expect(queueEnd('west', 'again')).toBe(2);
});

it('a deletion ahead of the copied data waits for it', async () => {
  await sendMany('gone', 5);
  await follow();
  const copied = pair.status('east').maxOffset;
  await sendMany('gone', 5);
  await call('east', 215, { ext: { topic: 'gone' } });
  await pair.west.link?.finalSync();
  expect(pair.status('west').maxOffset).toBe(copied);
  expect(queueEnd('west', 'gone')).toBe(5);
  await follow();
  expect(queueEnd('west', 'gone')).toBe(0);
});

it('request modes and forbidden groups follow', async () => {
  await sendMany('orders', 1);
  await call('east', 200, { body: JSON.stringify({ groupName: 'readers' }) });
  const mode = { topic: 'orders', consumerGroup: 'readers', mode: 'PULL', popShareQueueNum: 3 };
  expect((await call('east', 401, { body: JSON.stringify(mode) })).code).toBe(0);
  const forbid = { topic: 'orders', group: 'readers', readable: false };
  expect((await call('east', 353, { ext: forbid })).code).toBe(0);
  await follow();
  const modes = await call('west', 402);
  expect(JSON.parse(modes.body?.toString() ?? '')).toEqual({
    messageRequestModeMap: { orders: { readers: mode } },
  });
  const told = await call('west', 353, { ext: { topic: 'orders', group: 'readers' } });
  expect(JSON.parse(told.body?.toString() ?? '')).toMatchObject({ readable: false });
});

it('timers without keys, delivered right before the seal, are not delivered again', async () => {
  const at = (ms: number) => `TIMER_DELIVER_MS\u0001${Date.now() + ms}\u0002`;
  for (let i = 0; i < 10; i++) {
    const more = { topic: 'timed', properties: at(1_200) };
    expect((await pair.send(pair.east.address, `t${i}`, more)).code).toBe(0);
  }
  await pair.send(pair.east.address, 'late', { topic: 'timed', properties: at(6_000) });
  await expect.poll(() => queueEnd('east', 'timed')).toBe(10);
  // The slot must be closed, and nothing is stored behind it.
  const closed = Date.now() + 1_100;
  await expect.poll(() => Date.now() > closed).toBe(true);
  await switchToWest();
  await expect.poll(() => queueEnd('west', 'timed')).toBeGreaterThan(10);
  expect(queueEnd('west', 'timed')).toBe(11);
});
