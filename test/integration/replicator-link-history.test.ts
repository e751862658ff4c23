// What a link refuses, remembers and proves: histories, epochs, gaps, halts, samples, stock sources.
import { beforeEach, describe, expect, test } from 'vitest';
import { DrError } from '../../core-broker/base/index.ts';
import { FILE_BYTES, LinkStage } from '../support/link-stage.ts';
import { recordLog } from '../support/record-log.ts';
import { until } from '../support/until.ts';

const stage = new LinkStage();

describe('history', () => {
  test('a source that wrote other bytes after a crash makes the copy export and cut first', async () => {
    stage.fill(40);
    const kept = stage.source.log.records[20] ?? 0;
    stage.sink.preload(stage.source.log.bytes);
    stage.sink.lineage = [...stage.source.lineage];
    const old = stage.source.log.bytes;
    // The source lost everything from `kept` on and wrote something else.
    const other = recordLog({ fileBytes: FILE_BYTES });
    for (let i = 0; i < 20; i++) other.append(300 + (i % 50));
    expect(other.end).toBe(kept);
    for (let i = 0; i < 30; i++) other.append(411);
    stage.source.log = other;
    stage.source.lineage = [...stage.source.lineage, { epoch: 1, boot: 'b2', startOffset: kept }];
    stage.source.verdict = (request) =>
      request.position > kept && request.lineage.length < 2
        ? { verdict: 'truncate', truncateTo: kept }
        : undefined;
    await stage.link().start();
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
    expect(stage.sink.exported[0]?.to).toBe(kept);
    expect(stage.sink.exported[0]?.bytes.equals(old.subarray(kept))).toBe(true);
    expect(stage.sink.lineage).toEqual(stage.source.lineage);
  });

  test('half a record of an older boot of the source is not continued with bytes of a newer one', async () => {
    const wan = await stage.throughProxy();
    stage.fill(1, 2_000);
    await stage.link().start();
    await until(stage.isLevel, 'level');
    const end = stage.source.log.end;
    wan.cutAfter(12 + 500);
    stage.source.log.append(1_500);
    await until(() => stage.sink.end > end || stage.source.reports.length > 1, 'half a record');
    wan.cut();
    const other = recordLog({ fileBytes: FILE_BYTES });
    other.append(2_000);
    // Same length, same body: its CRC cannot tell that the first half is of another boot.
    other.append(1_500, 12_345);
    other.append(777);
    stage.source.log = other;
    stage.source.lineage = [...stage.source.lineage, { epoch: 1, boot: 'b2', startOffset: end }];
    wan.heal();
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
  });

  test('an epoch above ours is adopted, one below is not followed', async () => {
    stage.fill(5);
    stage.source.epoch = 4;
    stage.source.lineage = [{ epoch: 4, boot: 'b9', startOffset: 0 }];
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    expect(stage.sink.epoch).toBe(4);
    stage.source.epoch = 3;
    stage.source.lineage = [{ epoch: 3, boot: 'b9', startOffset: 0 }];
    stage.source.cut();
    stage.fill(5);
    await until(() => /REFUSED/.test(link.status().lastError ?? ''), 'refused');
    expect(link.status().state).toBe('connecting');
    expect(stage.sink.epoch).toBe(4);
    expect(stage.isLevel()).toBe(false);
  });

  test('a link whose epoch the store no longer has stops and stays red', async () => {
    stage.fill(5);
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    stage.sink.epoch = 2;
    stage.fill(5);
    await until(() => link.status().state === 'failed', 'failed');
    expect(link.status().lastError).toMatch(/FENCED/);
    expect(link.health().isHealthy).toBe(false);
    expect(stage.isLevel()).toBe(false);
  });

  test('retention that overtook the link leaves a gap record and copies nothing more', async () => {
    stage.fill(40);
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    await link.stop();
    const end = stage.sink.validatedEnd();
    stage.fill(100);
    stage.source.minOffset = 2 * FILE_BYTES;
    expect(stage.source.minOffset).toBeGreaterThan(end);
    const later = stage.link();
    await later.start();
    await until(() => later.status().state === 'failed', 'failed');
    expect(stage.read(`drGap-${end}-${stage.source.minOffset}.json`)).toMatchObject({
      from: end,
      to: stage.source.minOffset,
      source: stage.source.address,
    });
    expect(stage.sink.end).toBe(end);
  });

  test.each([
    ['its own store', { storeId: 'standby-store' }],
    ['its own region', { region: 'east' }],
  ])('a link to %s is refused', async (_name, identity) => {
    stage.fill(5);
    Object.assign(stage.source, identity);
    const link = stage.link();
    await link.start();
    await until(() => link.status().state === 'failed', 'failed');
    expect(link.status().lastError).toMatch(/CONFIG/);
    expect(stage.sink.appends).toBe(0);
  });
});

describe('halt', () => {
  test('a halt is on disk, outlives a restart, and only its operation undoes it', async () => {
    stage.fill(20);
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    await link.halt('op-1');
    await link.halt('op-1');
    expect(stage.read('drLink')).toMatchObject({ haltedBy: 'op-1', epoch: 1 });
    await expect(link.halt('op-2')).rejects.toThrow(/op-1/);
    stage.fill(20);
    await link.stop();
    const connections = stage.source.reports.length;
    const again = stage.link();
    await again.start();
    expect(again.status()).toMatchObject({ state: 'halted', haltedBy: 'op-1' });
    await expect(again.resume('op-2')).rejects.toThrow(/op-1/);
    expect(stage.source.reports.length).toBe(connections);
    expect(stage.isLevel()).toBe(false);
    await again.resume('op-1');
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
  });

  test('nothing is appended after a halt was answered', async () => {
    stage.fill(4_000);
    const link = stage.link({ bandwidthBytesPerSec: 2_000_000 });
    await link.start();
    await until(() => stage.sink.end > 0, 'bytes');
    await link.halt('op-1');
    const { end } = stage.sink;
    expect(stage.sink.flushedEnds.at(-1)).toBe(end);
    expect(stage.source.log.end).toBeGreaterThan(end);
    await expect(link.drain(end + 1, 1_000)).rejects.toThrow(/did not arrive/);
    expect(stage.sink.end).toBe(end);
  });

  test('a halt does not wait for a source that does not answer', async () => {
    stage.fill(5);
    const proxy = await stage.proxy(stage.source.address);
    proxy.blackhole();
    const link = stage.link({ connectTimeoutMs: 60_000 }, { source: proxy.address });
    await link.start();
    await until(() => proxy.connections !== 0, 'a hanging connection');
    const startedMs = performance.now();
    await link.halt('op-1');
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(link.status().state).toBe('halted');
  });

  test('a halt of an older epoch does not hold a newer one', async () => {
    const first = stage.link();
    await first.start();
    await first.halt('op-1');
    await first.stop();
    stage.sink.epoch = 2;
    stage.source.epoch = 2;
    stage.fill(5);
    await stage.link().start();
    await until(stage.isLevel, 'level');
  });

  test('a link file of a newer epoch than the store refuses to start', async () => {
    stage.sink.epoch = 5;
    const first = stage.link();
    await first.start();
    await first.halt('op-1');
    await first.stop();
    stage.sink.epoch = 4;
    await expect(stage.link().start()).rejects.toSatisfy((reason) => DrError.is(reason, 'FENCED'));
  });

  test('drain waits for the asked byte and says when it did not come', async () => {
    stage.fill(100);
    const link = stage.link();
    await link.start();
    expect(await link.drain(stage.source.log.end, 20_000)).toBe(stage.source.log.end);
    await expect(link.drain(stage.source.log.end + 1, 50)).rejects.toSatisfy((reason) =>
      DrError.is(reason, 'TIMEOUT'),
    );
  });
});

describe('lag and metadata', () => {
  test('a restarted link still has a basis for the loss statement', async () => {
    stage.fill(20);
    stage.source.queueMaxima = { 'orders@0': 5, 'orders@1': 5 };
    const link = stage.link();
    await link.start();
    await until(() => stage.has('drLinkSample'), 'sample file');
    await until(stage.isLevel, 'level');
    await link.stop();
    const kept = stage.read('drLinkSample');
    await stage.source.stop();
    const again = stage.link({ connectTimeoutMs: 200 });
    await again.start();
    const report = again.tailReport(() => 4);
    expect(report).toMatchObject({ sampledAtMs: kept.sampledAtMs, sourceEnd: kept.maxOffset });
    expect(report.queues).toContainEqual({ queue: 'orders@0', standbyMax: 4, sourceMax: 5 });
    await until(() => again.status().lagMs > 0 && !again.health().isHealthy, 'age grows');
    await again.stop();
    // There and back: the same source, but another region has written in between.
    stage.sink.epoch = 3;
    const later = stage.link({ connectTimeoutMs: 200 });
    await later.start();
    expect(later.tailReport(() => 4)).toMatchObject({ sampledAtMs: 0, sourceEnd: 0, queues: [] });
  });

  test('topics, groups and offsets follow the lists; the final sync brings the digest of the source', async () => {
    const link = stage.link({ excludeGroups: ['private'] });
    await link.start();
    await until(() => stage.applied.length > 1, 'metadata twice');
    await link.halt('op-1');
    const count = stage.applied.length;
    const result = await link.finalSync('op-1');
    expect(stage.applied.length).toBe(count + 1);
    expect(result).toMatchObject({ topics: 1, groups: 1, offsets: 2, delayLevels: 1 });
    expect(result.offsetDigest).toMatch(/^[0-9a-f]{64}$/);
    expect(stage.applied.at(-1)?.groups).toMatchObject({ subscriptionGroupTable: { billing: {} } });
    expect(JSON.stringify(stage.applied.at(-1)?.groups)).not.toContain('private');
  });
});

describe('stock source', () => {
  beforeEach(() => {
    stage.source.kind = 'stock';
  });

  test('a stock master is copied from byte 1 and followed, lag from its own numbers', async () => {
    stage.fill(100);
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    stage.fill(20);
    await until(() => stage.isLevel() && link.status().state === 'following', 'following');
    expect(stage.isEqual()).toBe(true);
    expect(stage.source.reports[0]?.[0]).toBe(1);
    expect(link.health().isHealthy).toBe(true);
  });

  test('a restart compares the last record and goes on', async () => {
    stage.fill(30);
    stage.sink.preload(stage.source.log.bytes);
    const end = stage.sink.end;
    stage.fill(30);
    await stage.link().start();
    await until(stage.isLevel, 'level');
    expect(stage.source.reports[0]?.[0]).toBe(end);
    expect(stage.isEqual()).toBe(true);
  });

  test('a copy whose last record differs is not touched', async () => {
    stage.fill(30);
    const other = recordLog({ fileBytes: FILE_BYTES, seed: 'z' });
    for (let i = 0; i < 30; i++) other.append(300 + (i % 50));
    stage.sink.preload(other.bytes);
    stage.fill(30);
    const link = stage.link();
    await link.start();
    await until(() => link.status().state === 'failed', 'failed');
    expect(link.status().lastError).toMatch(/VERIFY_FAILED/);
    expect(stage.sink.bytes.equals(other.bytes)).toBe(true);
  });

  test('a copy that is ahead of the source is not touched', async () => {
    stage.fill(30);
    stage.sink.preload(stage.source.log.bytes);
    const shorter = recordLog({ fileBytes: FILE_BYTES });
    for (let i = 0; i < 20; i++) shorter.append(300 + (i % 50));
    stage.source.log = shorter;
    const link = stage.link();
    await link.start();
    await until(() => link.status().state === 'failed', 'failed');
    expect(link.status().lastError).toMatch(/the copy ends at/);
    expect(stage.sink.exported).toEqual([]);
  });
});
