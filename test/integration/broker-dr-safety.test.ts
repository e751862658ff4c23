// Rules that hold because one line refuses or waits: each of these tests was seen red without its line.
// Real brokers of two regions in this process; the link is the smallest one that follows the rules.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DrConfig } from '../../cli/config/dr-config.ts';
import { LinkHost } from '../../cli/daemon/link-host.ts';
import { DR_CODE, type FlipResult } from '../../core-broker/protocol/index.ts';
import { linkConfigSchema } from '../../replicator/index.ts';
import { DrParts } from '../support/dr-parts.ts';
import { PAIR_SECRET, type RegionName, RegionPair } from '../support/region-pair.ts';
import { BACK, FORTH, SwitchByHand } from '../support/regions/switch-by-hand.ts';

let pair: RegionPair;

describe('two regions', () => {
  beforeEach(async () => {
    pair = await RegionPair.start();
    expect((await pair.send(pair.east.address, 'm0 x')).code).toBe(0);
  });
  afterEach(() => pair.stop());

  const epochFile = (name: RegionName) => fs.readFileSync(path.join(pair[name].root, 'drEpoch'));

  const METADATA = {
    topics: { topicConfigTable: {} },
    groups: { subscriptionGroupTable: {} },
    consumerOffsets: { offsetTable: { 'TopicTest@late': { 0: 1 } } },
    delayOffsets: { offsetTable: {} },
  };
  const apply = (name: RegionName) => () => pair[name].broker?.metadataSink?.apply(METADATA);
  const askOffset = (name: RegionName) => {
    const ext = { topic: 'TopicTest', consumerGroup: 'late', queueId: 0 };
    return pair.peer.invoke(pair[name].address, { code: 14, ext }, 20_000);
  };

  test('a log is cut on a standby only, also when it is promoted while the cut is under way', async () => {
    const { store } = pair.west.broker ?? {};
    const end = pair.status('east').maxOffset;
    await pair.west.link?.copyTo(end);
    const cut = store?.truncate(0);
    // The promotion comes between the first look at the role and the cut.
    store?.guard.promote({ opId: 'op', fromEpoch: 1, startOffset: end });
    await expect(cut).rejects.toMatchObject({ code: 'REFUSED' });
    expect(store?.storeBounds().maxOffset).toBe(end);
    await expect(pair.east.broker?.store.truncate(0)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(pair.status('east').maxOffset).toBe(end);
  });

  test('offsets of an older epoch are refused by a side that was promoted or still writes', async () => {
    const byHand = new SwitchByHand(pair);
    expect(apply('west')).not.toThrow();
    expect(apply('east')).toThrow(expect.objectContaining({ code: 'FENCED' }));
    await byHand.promote(await byHand.prepare());
    expect(apply('west')).toThrow(expect.objectContaining({ code: 'FENCED' }));
    expect((await askOffset('west')).ext['offset']).not.toBe('1');
  });

  test('a repeated reversal changes nothing and is no error', async () => {
    const byHand = new SwitchByHand(pair);
    await byHand.promote(await byHand.prepare());
    const first = await byHand.reverse();
    expect(first).toMatchObject({ role: 'standby', epoch: 2 });
    const written = epochFile('east');
    const same = { ...first, nowMs: expect.any(Number) };
    await expect(byHand.reverse()).resolves.toEqual(same);
    expect(epochFile('east').equals(written)).toBe(true);
    expect(pair.east.link?.source).toBe(pair.west.address);
    expect(pair.east.link?.exports).toEqual([]);
    expect((await pair.send(pair.west.address, 'm1 x')).code).toBe(0);
    await pair.east.link?.copyTo(pair.status('west').maxOffset);
    expect(pair.status('east').maxOffset).toBe(pair.status('west').maxOffset);
    // One of an operation that is over neither.
    await expect(
      pair.ask('west', DR_CODE.REVERSE, {
        opId: FORTH.opId,
        source: pair.east.address,
        sourceRegion: 'east',
        epoch: 1,
      }),
    ).rejects.toMatchObject({ code: 'FENCED' });
    expect(pair.status('west').writeState).toBe('open');
  });

  test('a halt that comes before the link was started waits for it', async () => {
    const { broker } = pair.west;
    if (!broker) throw new Error('west is down');
    const host = new LinkHost(broker, linkConfig());
    const halted = host.halt({ opId: 'op-1' }).then(
      () => 'halted',
      (reason: { code: string }) => reason.code,
    );
    // Whoever does not wait is through by now.
    await new Promise((done) => setImmediate(done));
    await host.startWhenStandby();
    expect(await halted).toBe('halted');
    expect(host.report()).toMatchObject({ state: 'halted', haltedBy: 'op-1' });
    await host.stop();
  });

  test('a promotion that comes before the link has read its halt waits for it', async () => {
    const byHand = new SwitchByHand(pair);
    const token = await byHand.prepare();
    const { link } = pair.west;
    if (!link) throw new Error('west has no link');
    // As after a restart: the halt is on disk, the link does not know it yet.
    const started = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    link.haltedBy = undefined;
    link.ready = () => {
      asked.resolve();
      return started.promise;
    };
    const promoted = byHand.promote(token).then(
      ({ epoch }) => epoch,
      (reason: { code: string }) => reason.code,
    );
    await Promise.race([asked.promise, promoted]);
    link.haltedBy = FORTH.opId;
    started.resolve();
    expect(await promoted).toBe(2);
  });

  /** The parts of a dr.yaml that a link host reads. */
  const linkConfig = () =>
    ({
      region: 'west',
      regions: {
        east: { nameservers: [], brokers: { 'broker-a': pair.east.address } },
        west: { nameservers: [], brokers: { 'broker-a': pair.west.address } },
      },
      secret: PAIR_SECRET,
      link: linkConfigSchema.parse({}),
    }) as unknown as DrConfig;
});

describe('routes after a reversal', () => {
  const parts = new DrParts();
  let global: string;
  let regional: Record<RegionName, string>;

  beforeAll(async () => {
    const [east, west] = [await parts.nameserver(), await parts.nameserver()];
    regional = { east: east.address, west: west.address };
    global = (await parts.global({ east: [east.address], west: [west.address] })).address;
    pair = await RegionPair.start({ nameservers: regional });
  });
  afterAll(async () => {
    await pair.stop();
    await parts.close();
  });

  interface Route {
    brokerDatas: { brokerAddrs: Record<string, string> }[];
    queueDatas: { perm: number }[];
  }

  /** Addresses and permissions of the topic; undefined while it has no route. */
  async function routeAt(nameserver: string) {
    const ext = { topic: 'TopicTest', acceptStandardJsonOnly: true };
    const { code, body } = await parts.peer.invoke(nameserver, { code: 105, ext }, 20_000);
    if (code !== 0) return undefined;
    const route = JSON.parse(String(body)) as Route;
    return {
      addresses: route.brokerDatas.flatMap(({ brokerAddrs }) => Object.values(brokerAddrs)),
      permissions: route.queueDatas.map(({ perm }) => perm),
    };
  }

  test('name the new region, forth and back, and the old one takes no writes', async () => {
    expect((await pair.send(pair.east.address, 'm0 x')).code).toBe(0);
    const isRouted = async () => (await routeAt(global))?.addresses;
    await expect.poll(isRouted).toEqual([pair.east.address]);
    for (const plan of [FORTH, BACK]) {
      const byHand = new SwitchByHand(pair, plan);
      await byHand.promote(await byHand.prepare());
      const { to: region, epoch, opId } = plan;
      const body = { region, epoch, handOver: true };
      const flip = { code: DR_CODE.FLIP, body, opId };
      expect(await parts.dr.control<FlipResult>(global, flip)).toMatchObject({ region, epoch });
      await byHand.relay();
      await byHand.reverse();
      // No waiting: a promotion and a reversal are answered when the name servers know.
      const now = { addresses: [pair[plan.to].address], permissions: [6] };
      expect(await routeAt(global)).toEqual(now);
      expect(await routeAt(regional[plan.to])).toEqual(now);
      // The old side takes writes as long as it passes them on, and none after that.
      await pair.ask(plan.from, DR_CODE.RELAY_STOP, { opId });
      const reads = { addresses: [pair[plan.from].address], permissions: [4] };
      await expect.poll(() => routeAt(regional[plan.from])).toEqual(reads);
      await pair[plan.to].link?.resume();
    }
  });
});
