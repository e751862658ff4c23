// The global name server over real regional ones: who is answered, flips, restarts, being cut off.
import { afterAll, describe, expect, test } from 'vitest';
import { Secret } from '../../core-broker/base/index.ts';
import { createDrClient, createPeerClient } from '../../core-broker/client/index.ts';
import type { NameServer } from '../../core-broker/nameserver/index.ts';
import {
  DR_CODE,
  decodeClusterInfo,
  decodeTopicRoute,
  type FlipResult,
  type RequestInit,
} from '../../core-broker/protocol/index.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';
import { registerRequest, registration } from '../support/registration.ts';

const parts = new DrParts();
afterAll(() => parts.close());

const invoke = (address: string, request: RequestInit) =>
  parts.peer.invoke(address, request, 20_000);
const flip = (address: string, region: string, epoch: number) =>
  parts.dr.control<FlipResult>(address, {
    code: DR_CODE.FLIP,
    body: { region, epoch, opId: `op-${epoch}` },
    opId: `op-${epoch}`,
  });

/** host:port of the master of broker-a for a topic, as a client sees it. */
async function masterOf(address: string, topic = 'orders'): Promise<string | undefined> {
  const answer = await invoke(address, { code: 105, ext: { topic } });
  if (answer.code !== 0) return `code ${answer.code}`;
  return decodeTopicRoute(answer.body).brokerDatas[0]?.brokerAddrs[0];
}

async function region(name: string): Promise<NameServer> {
  const server = await parts.nameserver();
  await invoke(server.address, registerRequest(registration({ brokerAddr: `${name}:10911` })));
  return server;
}

async function twoRegions() {
  const [east, west] = [await region('east'), await region('west')];
  return { east, west, regions: { east: [east.address], west: [west.address] } };
}

describe('flips', () => {
  test('the next route is the new region; only a higher epoch counts; strangers are refused', async () => {
    const { regions } = await twoRegions();
    const { address } = await parts.global(regions);
    expect(await masterOf(address)).toBe('east:10911');
    expect(await masterOf(address, 'TBW102')).toBe('east:10911');
    expect(await flip(address, 'west', 2)).toMatchObject({ region: 'west', epoch: 2 });
    expect(await masterOf(address)).toBe('west:10911');
    expect(await flip(address, 'west', 2)).toMatchObject({ region: 'west', epoch: 2 });
    await expect(flip(address, 'east', 2)).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(flip(address, 'east', 1)).rejects.toMatchObject({ code: 'FENCED' });
    await expect(flip(address, 'north', 9)).rejects.toMatchObject({ code: 'REFUSED' });
    const stranger = createDrClient({ secret: new Secret('guess') });
    const body = { region: 'east', epoch: 99, opId: 'x' };
    await expect(stranger.control(address, { code: DR_CODE.FLIP, body })).rejects.toMatchObject({
      code: 'AUTH',
    });
    stranger.close();
    expect(await masterOf(address)).toBe('west:10911');
  });

  test('a route that changed in the new region just before the flip is seen at once', async () => {
    const { west, regions } = await twoRegions();
    const { address } = await parts.global(regions);
    await flip(address, 'west', 2);
    expect(await masterOf(address)).toBe('west:10911');
    await flip(address, 'east', 3);
    const renewed = registration({ brokerAddr: 'west-new:10911' });
    await invoke(west.address, registerRequest(renewed));
    await flip(address, 'west', 4);
    expect(await masterOf(address)).toBe('west-new:10911');
  });

  test('clients asking all the time never see a region that an answered flip has left', async () => {
    const { regions } = await twoRegions();
    const global = await parts.global(regions);
    let asked = 0;
    let isDone = false;
    const wrong: string[] = [];
    /** Last flip answered before a question was sent, and the last one begun when its answer came. */
    const flips = { answered: 0, begun: 0 };
    const nameAt = (n: number) => (n % 2 === 1 ? 'west' : 'east');
    const clients = Array.from({ length: 8 }, async () => {
      const client = createPeerClient();
      while (!isDone) {
        const from = flips.answered;
        const answer = await client.invoke(
          global.address,
          { code: 105, ext: { topic: 'orders' } },
          5_000,
        );
        const route = decodeTopicRoute(answer.body);
        const [got] = (route.brokerDatas[0]?.brokerAddrs[0] ?? '').split(':');
        const allowed = new Set<string>();
        for (let n = from; n <= flips.begun; n++) allowed.add(nameAt(n));
        if (!allowed.has(got ?? '')) wrong.push(`${got} between flips ${from} and ${flips.begun}`);
        if (route.brokerDatas.length !== 1) wrong.push('two regions in one answer');
        asked++;
      }
      client.close();
    });
    for (let n = 1; n <= 60; n++) {
      flips.begun = n;
      await flip(global.address, nameAt(n), n);
      flips.answered = n;
    }
    await expect.poll(() => asked).toBeGreaterThan(200);
    isDone = true;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
  });

  test('the epoch is kept over a restart', async () => {
    const { regions } = await twoRegions();
    const first = await parts.global(regions, { state: 'kept' });
    await flip(first.address, 'west', 7);
    await parts.stop(first);
    const second = await parts.global(regions, { state: 'kept' });
    expect(second.active).toEqual({ region: 'west', epoch: 7 });
    expect(await masterOf(second.address)).toBe('west:10911');
    await expect(flip(second.address, 'east', 6)).rejects.toMatchObject({ code: 'FENCED' });
  });
});

describe('cut off', () => {
  test('the last known answer goes on, also after a restart', async () => {
    const { east, west, regions } = await twoRegions();
    const first = await parts.global(regions, { state: 'cut' });
    expect(await masterOf(first.address)).toBe('east:10911');
    await Promise.all([parts.stop(east), parts.stop(west)]);
    expect(await masterOf(first.address)).toBe('east:10911');
    await parts.stop(first);
    const second = await parts.global(regions, { state: 'cut' });
    expect(await masterOf(second.address)).toBe('east:10911');
    expect(await masterOf(second.address, 'never-asked')).toBe('code 1');
    await flip(second.address, 'west', 2);
    expect(await masterOf(second.address, 'TBW102')).toBe('west:10911');
  });
});

describe('what clients and tools see', () => {
  test('gateways stand for the brokers in routes and cluster info', async () => {
    const { regions } = await twoRegions();
    const lines = ['drGateways=broker-a=gateway:20911'];
    const { address } = await parts.global(regions, { lines });
    expect(await masterOf(address)).toBe('gateway:20911');
    const info = decodeClusterInfo((await invoke(address, { code: 106 })).body);
    expect(info.brokerAddrTable['broker-a']?.brokerAddrs).toEqual({ 0: 'gateway:20911' });
    expect(info.clusterAddrTable).toEqual({ C: ['broker-a'] });
  });

  test('registrations are refused, changes reach the active region, keys and values both', async () => {
    const { east, west, regions } = await twoRegions();
    const { address } = await parts.global(regions);
    const refused = await invoke(address, registerRequest(registration()));
    expect(refused.code).toBe(16);
    expect(refused.remark).toContain('name servers of its own region');
    const ext = { namespace: 'N', key: 'k', value: 'v' };
    expect((await invoke(address, { code: 100, ext })).code).toBe(0);
    expect((await invoke(address, { code: 101, ext })).ext['value']).toBe('v');
    expect((await invoke(east.address, { code: 101, ext })).code).toBe(0);
    expect((await invoke(west.address, { code: 101, ext })).ext['value']).toBe('v');
    expect((await invoke(address, { code: 216, ext: { topic: 'orders' } })).code).toBe(0);
    expect(await masterOf(address)).toBe('code 17');
    const list = JSON.parse(String((await invoke(address, { code: 206 })).body));
    expect(list.topicList).toEqual(['TBW102']);
  });

  test('a dead name server of the region does not matter while another lives', async () => {
    const alive = await region('east');
    const dead = `127.0.0.1:${await freePort()}`;
    const { address } = await parts.global({ east: [dead, alive.address], west: [dead] });
    expect(await masterOf(address)).toBe('east:10911');
  });
});
