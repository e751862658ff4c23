// The mirror link between two real brokers: HA port, attach, exact append into a real store, queues,
// metadata, restarts on both sides. The files of both commit logs are compared byte for byte.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BrokerAdmin } from '../../core-broker/client/index.ts';
import { DR_CODE } from '../../core-broker/protocol/index.ts';
import { createLogLink, type Link, linkConfigSchema } from '../../replicator/index.ts';
import { PAIR_SECRET, RegionPair } from '../support/region-pair.ts';
import { until } from '../support/until.ts';

let pair: RegionPair;
const links: Link[] = [];

beforeEach(async () => {
  pair = await RegionPair.start();
});

afterEach(async () => {
  for (const link of links.splice(0)) await link.stop();
  await pair.stop();
});

function linkOf(config: object = {}): Link {
  const standby = pair.west.broker;
  if (standby?.sink === undefined || standby.metadataSink === undefined) throw new Error('no sink');
  const link = createLogLink(
    {
      source: pair.east.address,
      stateDir: standby.storeRoot,
      ownRegion: 'west',
      ownStoreId: pair.status('west').storeId,
      secret: PAIR_SECRET,
      config: linkConfigSchema.parse({
        sampleMs: 20,
        backOffFirstMs: 10,
        backOffMaxMs: 50,
        metadataMs: 100,
        ...config,
      }),
    },
    standby.sink,
    standby.metadataSink,
  );
  links.push(link);
  return link;
}

async function send(count: number, bytes = 500): Promise<void> {
  const sends = Array.from({ length: count }, (_, i) =>
    pair.send(pair.east.address, `${i}`.padEnd(bytes, 'x')),
  );
  for (const answer of await Promise.all(sends)) expect(answer.code).toBe(0);
}

const ends = () => ({
  source: pair.status('east').maxOffset,
  copy: pair.status('west').maxOffset,
});
const isLevel = () => ends().source === ends().copy;

async function logBytes(name: 'east' | 'west'): Promise<Buffer> {
  const { store } = pair[name].broker ?? {};
  if (store === undefined) throw new Error(`${name} is down`);
  await store.flush();
  const parts: Buffer[] = [];
  const { minOffset, maxOffset } = store.storeBounds();
  for (let at = minOffset as number; at < maxOffset; ) {
    const piece = await store.readLog(at, 1024 * 1024);
    if (piece === undefined) throw new Error(`log of ${name} ends at ${at}`);
    parts.push(piece);
    at += piece.length;
  }
  return Buffer.concat(parts);
}

async function expectEqualLogs(): Promise<void> {
  const [source, copy] = [await logBytes('east'), await logBytes('west')];
  expect(copy.length).toBe(source.length);
  expect(copy.equals(source)).toBe(true);
}

describe('link between two brokers', () => {
  test('everything sent before and after arrives, byte for byte, with its queues', async () => {
    await send(300);
    const link = linkOf();
    await link.start();
    await until(isLevel, 'level');
    await send(100);
    await until(() => isLevel() && link.status().state === 'following', 'following');
    await expectEqualLogs();
    await pair.west.broker?.store.dispatched();
    const queue = { topic: 'TopicTest', queueId: 0 };
    expect(pair.west.broker?.store.bounds(queue)).toEqual(pair.east.broker?.store.bounds(queue));
    await until(() => link.status().lagMessages === 0 && link.health().isHealthy, 'healthy');
  });

  test('topics reach the standby and it goes on refusing writes', async () => {
    await send(3);
    await linkOf().start();
    const admin = new BrokerAdmin(pair.peer, 5_000);
    await until(async () => {
      const table = await admin.topicTable(pair.west.address);
      return table.topicConfigTable['TopicTest'] !== undefined;
    }, 'topic at the standby');
    expect((await pair.send(pair.west.address, 'no')).code).not.toBe(0);
  });

  test('a source that restarts is followed on, its new boot included', async () => {
    await send(50);
    const link = linkOf();
    await link.start();
    await until(isLevel, 'level');
    await pair.down('east');
    await until(() => link.status().state === 'connecting', 'connecting');
    await pair.up('east');
    await pair.until('east', (status) => status.writeState === 'open');
    await send(50);
    await until(isLevel, 'level again');
    await expectEqualLogs();
  });

  test('a standby that restarts goes on where its log ends', async () => {
    await send(80);
    const link = linkOf();
    await link.start();
    await until(() => ends().copy > 0, 'bytes');
    await link.stop();
    await pair.down('west');
    await send(80);
    await pair.up('west');
    await linkOf().start();
    await until(isLevel, 'level');
    await expectEqualLogs();
  });

  test('the statement basis names each queue with what the source had', async () => {
    await send(20);
    const link = linkOf();
    await link.start();
    await until(isLevel, 'level');
    await link.halt('op-1');
    await send(5);
    const { store } = pair.west.broker ?? {};
    const report = link.tailReport((queue) => {
      const at = queue.lastIndexOf('@');
      const ref = { topic: queue.slice(0, at), queueId: Number(queue.slice(at + 1)) };
      return store?.bounds(ref)?.max ?? 0;
    });
    expect(report.queues).toContainEqual({
      queue: 'TopicTest@0',
      standbyMax: 20,
      sourceMax: 20,
    });
    expect(report.sourceEnd).toBe(ends().copy);
  });

  test('a sealed source can still be drained, and the final sync brings its digest', async () => {
    await send(100);
    const link = linkOf({ bandwidthBytesPerSec: 400_000 });
    await link.start();
    await pair.ask('east', DR_CODE.FENCE, { opId: 'op-1', deadlineMs: 60_000 });
    const token = await pair.ask<{ logEnd: number; offsetDigest: string }>('east', DR_CODE.SEAL, {
      opId: 'op-1',
    });
    expect(await link.drain(token.logEnd, 20_000)).toBe(token.logEnd);
    await link.halt('op-1');
    const result = await link.finalSync('op-1');
    expect(result.offsetDigest).toBe(token.offsetDigest);
  });

  test('a second link evicts the first, which then copies nothing', async () => {
    await send(10);
    const first = linkOf();
    await first.start();
    await until(isLevel, 'level');
    await linkOf().start();
    await until(() => /replaced/.test(first.status().lastError ?? ''), 'first evicted');
    await send(10);
    await until(isLevel, 'level by the second');
    await expectEqualLogs();
  });
});
