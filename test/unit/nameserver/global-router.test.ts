// The global router over two regions that answer late and out of order: which body leaves, and when.
import { beforeEach, describe, expect, test } from 'vitest';
import type { ActiveRegionRegister, Clock } from '../../../core-broker/base/index.ts';
import { DrError } from '../../../core-broker/base/index.ts';
import type { PeerClient } from '../../../core-broker/client/index.ts';
import { routeBody, topicListBody } from '../../../core-broker/nameserver/global/answers.ts';
import { RegionLink } from '../../../core-broker/nameserver/global/region-link.ts';
import { RegionView } from '../../../core-broker/nameserver/global/region-view.ts';
import { GlobalRouter } from '../../../core-broker/nameserver/global/router.ts';
import type { RemotingCommand, RequestInit } from '../../../core-broker/protocol/index.ts';

/** A route whose broker address tells the region and how often it was asked. */
function route(region: string, serial: number, brokerName = 'broker-a'): string {
  return JSON.stringify({
    brokerDatas: [{ brokerAddrs: { 0: `${region}:${serial}` }, brokerName, cluster: 'C' }],
    filterServerTable: {},
    queueDatas: [{ brokerName, perm: 6, readQueueNums: 4, writeQueueNums: 4, topicSysFlag: 0 }],
  });
}

const answer = (code: number, body?: string): RemotingCommand => ({
  code,
  language: 'JAVA',
  version: 513,
  opaque: 0,
  flag: 1,
  remark: undefined,
  ext: {},
  body: body === undefined ? undefined : Buffer.from(body),
});

/** Name servers of regions as a table of functions; every question can be held back. */
class Regions implements PeerClient {
  serial = 0;
  readonly asked: { address: string; code: number }[] = [];
  readonly held: (() => void)[] = [];
  isHolding = false;
  readonly dead = new Set<string>();
  readonly unknown = new Set<string>();

  async invoke(address: string, request: RequestInit): Promise<RemotingCommand> {
    this.asked.push({ address, code: request.code });
    const serial = ++this.serial;
    if (this.isHolding) await new Promise<void>((resolve) => this.held.push(resolve));
    if (this.dead.has(address)) throw new DrError('NETWORK', `${address} is dead`);
    if (this.unknown.has(address)) return answer(17);
    if (request.code === 206) return answer(0, '{"topicList":["a"]}');
    if (request.code === 105 || request.code === 106) return answer(0, route(address, serial));
    return answer(0);
  }
  call = (address: string, request: RequestInit) => this.invoke(address, request);
  oneway = () => Promise.resolve();
  onRequest(): void {
    throw new Error('unused');
  }
  close(): void {
    this.held.length = 0;
  }
}

let peer: Regions;
let now: number;
let register: { current: { region: string; epoch: number; opId: string } };
let views: Map<string, RegionView>;

function router(options: { isDual?: boolean; gateways?: Map<string, string> } = {}) {
  return new GlobalRouter({
    register: register as unknown as ActiveRegionRegister,
    views,
    gateways: options.gateways ?? new Map(),
    isDual: options.isDual ?? false,
    clock: clock(),
  });
}
const clock = (): Clock => ({ nowMs: () => now, monotonicMs: () => now });
const ask = (code: number, ext: Record<string, string> = { topic: 'orders' }): RemotingCommand => ({
  ...answer(code),
  flag: 0,
  ext,
});
const addressIn = (body: unknown): string =>
  JSON.parse(String(body)).brokerDatas[0].brokerAddrs['0'] as string;

beforeEach(() => {
  peer = new Regions();
  now = 1_000;
  register = { current: { region: 'east', epoch: 1, opId: '' } };
  views = new Map(
    ['east', 'west'].map((region) => {
      const link = new RegionLink(region, [`${region}-1`, `${region}-2`], peer);
      return [region, new RegionView(link, { clock: clock(), freshMs: 1_000 })];
    }),
  );
});

const flipTo = (region: string, global: GlobalRouter) => {
  now += 1;
  register.current = { region, epoch: register.current.epoch + 1, opId: '' };
  global.flipped();
};

describe('one region at a time', () => {
  test('the active region answers; a fresh answer is not asked for twice', async () => {
    const global = router();
    const first = await global.handle(ask(105));
    const asked = peer.asked.length;
    const second = await global.handle(ask(105));
    expect(addressIn(first.body)).toMatch(/^east-1:/);
    expect(second.body).toEqual(first.body);
    expect(peer.asked.length).toBe(asked);
  });

  test('the very next answer after a flip is of the new region and asked for after the flip', async () => {
    const global = router();
    await views.get('west')?.answer('orders', Number.NEGATIVE_INFINITY);
    await global.handle(ask(105));
    const before = peer.serial;
    flipTo('west', global);
    const [, serial] = addressIn((await global.handle(ask(105))).body).split(':');
    expect(Number(serial)).toBeGreaterThan(before);
  });

  test('an answer under way when the flip comes is made again', async () => {
    const global = router();
    peer.isHolding = true;
    const pending = global.handle(ask(105));
    await expect.poll(() => peer.held.length).toBe(1);
    flipTo('west', global);
    peer.isHolding = false;
    for (const release of peer.held.splice(0)) release();
    expect(addressIn((await pending).body)).toMatch(/^west-1:/);
  });

  test('a late answer to a question from before the flip is not taken for a fresh one', async () => {
    const global = router();
    peer.isHolding = true;
    const west = views.get('west');
    const early = west?.answer('orders', Number.NEGATIVE_INFINITY);
    await expect.poll(() => peer.held.length).toBe(1);
    const before = peer.serial;
    flipTo('west', global);
    const pending = global.handle(ask(105));
    peer.isHolding = false;
    await expect.poll(() => peer.serial).toBeGreaterThan(before);
    for (const release of peer.held.splice(0)) release();
    await early;
    expect(Number(addressIn((await pending).body).split(':')[1])).toBeGreaterThan(before);
    const again = await global.handle(ask(105));
    expect(Number(addressIn(again.body).split(':')[1])).toBeGreaterThan(before);
  });

  test('flips back and forth under load never mix regions', async () => {
    const global = router({ gateways: new Map() });
    const seen: { region: string; got: string }[] = [];
    const clients = Array.from({ length: 20 }, async (_, index) => {
      for (let i = 0; i < 30; i++) {
        const body = (await global.handle(ask(105, { topic: `t${index % 3}` }))).body;
        // Same tick as the answer: this is what a socket would send.
        seen.push({ region: register.current.region, got: addressIn(body) });
        now += 1;
      }
    });
    const flips = (async () => {
      for (let i = 0; i < 40; i++) {
        flipTo(i % 2 === 0 ? 'west' : 'east', global);
        await new Promise((done) => setImmediate(done));
      }
    })();
    await Promise.all([...clients, flips]);
    expect(seen).toHaveLength(600);
    for (const { region, got } of seen) expect(got).toMatch(new RegExp(`^${region}-`));
  });
});

describe('cut off', () => {
  test('the last known answer goes on, of the active region only', async () => {
    const global = router();
    const known = await global.handle(ask(105));
    for (const region of ['east', 'west']) {
      peer.dead.add(`${region}-1`).add(`${region}-2`);
    }
    now += 60_000;
    expect((await global.handle(ask(105))).body).toEqual(known.body);
    flipTo('west', global);
    await expect(global.handle(ask(105))).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  test('a down region costs nothing until the poller finds it again', async () => {
    const global = router();
    await global.handle(ask(105));
    peer.dead.add('east-1').add('east-2');
    now += 60_000;
    await global.handle(ask(105));
    const asked = peer.asked.length;
    await global.handle(ask(105));
    expect(peer.asked.length).toBe(asked);
    peer.dead.clear();
    await views.get('east')?.poll();
    expect(addressIn((await global.handle(ask(105))).body)).toMatch(/^east-/);
  });

  test('another name server of the region is asked when one is dead or knows nothing', async () => {
    const global = router();
    peer.dead.add('east-1');
    expect(addressIn((await global.handle(ask(105))).body)).toMatch(/^east-2:/);
    peer.dead.clear();
    peer.unknown.add('east-2');
    expect(addressIn((await global.handle(ask(105, { topic: 'x' }))).body)).toMatch(/^east-1:/);
    peer.unknown.add('east-1');
    expect((await global.handle(ask(105, { topic: 'y' }))).code).toBe(17);
  });
});

describe('what clients get', () => {
  test('registrations are refused with a remark that says where to go', async () => {
    const refused = await router().handle(ask(103, {}));
    expect(refused.code).toBe(16);
    expect(refused.remark).toMatch(/namesrvAddr.*east, west/s);
  });

  test('changes go to every name server of the active region', async () => {
    expect((await router().handle(ask(216))).code).toBe(0);
    expect(peer.asked.map(({ address }) => address)).toEqual(['east-1', 'east-2']);
    peer.dead.add('east-2');
    await expect(router().handle(ask(216))).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test('keys and values go to every region; one that is missed is named', async () => {
    const put = () => router().handle(ask(100, { namespace: 'n', key: 'k', value: 'v' }));
    expect((await put()).code).toBe(0);
    const everybody = ['east-1', 'east-2', 'west-1', 'west-2'];
    expect(peer.asked.map(({ address }) => address)).toEqual(everybody);
    peer.dead.add('west-2');
    expect(await put()).toMatchObject({ code: 1, remark: expect.stringContaining('not in west') });
    peer.dead.add('east-2');
    peer.asked.length = 0;
    await expect(put()).rejects.toMatchObject({ code: 'NETWORK' });
    expect(peer.asked.map(({ address }) => address)).not.toContain('west-1');
  });

  test('a gateway stands for the master only', () => {
    const gateways = new Map([['broker-a', 'gw:1']]);
    expect(addressIn(routeBody([route('east', 1)], gateways))).toBe('gw:1');
    const slaves = route('east', 1).replace('"0":', '"1":');
    expect(JSON.parse(routeBody([slaves], gateways)).brokerDatas[0].brokerAddrs).toEqual({
      1: 'east:1',
    });
    expect(addressIn(routeBody([route('east', 1, 'broker-x')], gateways))).toBe('east:1');
  });

  test('dual mode merges, but one broker name comes from one region', async () => {
    const merged = JSON.parse(
      routeBody([route('west', 1), route('east', 2), route('east', 3, 'broker-b')], new Map()),
    );
    expect(merged.brokerDatas.map((b: { brokerName: string }) => b.brokerName)).toEqual([
      'broker-a',
      'broker-b',
    ]);
    expect(merged.queueDatas).toHaveLength(2);
    expect(merged.brokerDatas[0].brokerAddrs['0']).toBe('west:1');
    const dual = await router({ isDual: true }).handle(ask(105));
    expect(addressIn(dual.body)).toMatch(/^east-/);
    expect(topicListBody(['{"topicList":["a","b"]}', '{"topicList":["b","c"]}'])).toBe(
      '{"topicList":["a","b","c"]}',
    );
  });
});
