// The mirror link against a source made of real sockets, through a proxy that behaves like a bad WAN.
// Whatever happens to the connection, the copy is byte-equal and every byte is appended once.
import { describe, expect, test } from 'vitest';
import { FILE_BYTES, LinkStage } from '../support/link-stage.ts';
import { recordLog } from '../support/record-log.ts';
import { until } from '../support/until.ts';

const stage = new LinkStage();

describe('copy', () => {
  test('a log that begins at 0 is copied whole, blanks included, and followed', async () => {
    stage.fill(200);
    const link = stage.link();
    await link.start();
    await until(stage.isLevel, 'level');
    stage.fill(50);
    await until(() => stage.isLevel() && link.status().state === 'following', 'following');
    expect(stage.isEqual()).toBe(true);
    // Report 0 would have brought the last file only.
    expect(stage.source.reports[0]?.[0]).toBe(1);
    expect(link.status()).toMatchObject({ lagBytes: 0, lagMessages: 0, lastError: undefined });
    expect(link.health()).toEqual({ isHealthy: true, why: '' });
  });

  test('an empty copy of a source that lost its beginning to retention begins where that begins', async () => {
    stage.source.log = recordLog({ startOffset: 3 * FILE_BYTES, fileBytes: FILE_BYTES });
    stage.source.minOffset = 3 * FILE_BYTES;
    stage.fill(30);
    await stage.link().start();
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
    expect(stage.source.reports[0]?.[0]).toBe(3 * FILE_BYTES);
  });

  test('cuts after any number of bytes resume at the exact byte', async () => {
    const wan = await stage.throughProxy();
    stage.source.frameBytes = 700;
    stage.fill(120);
    const link = stage.link();
    await link.start();
    await until(() => stage.source.reports.length === 1, 'connected');
    // Inside the frame header, at its end, inside a record, around frame ends.
    for (const bytes of [1, 7, 11, 12, 13, 20, 100, 711, 712, 713, 1424, 5000, 3, 900]) {
      wan.cutAfter(bytes);
      const before = stage.source.reports.length;
      const target = wan.passed['to-client'] + bytes;
      stage.fill(20);
      await until(
        () => stage.source.reports.length > before,
        `a new connection after ${bytes} bytes`,
      );
      expect(wan.passed['to-client']).toBeGreaterThanOrEqual(target);
    }
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
    expect(stage.sink.exported).toEqual([]);
    const starts = stage.source.reports.map((reports) => reports[0] ?? 0);
    expect([...starts].sort((a, b) => a - b)).toEqual(starts);
  });

  test('a restart with the same store goes on at the end of the copy', async () => {
    stage.fill(60);
    const first = stage.link();
    await first.start();
    await until(stage.isLevel, 'level');
    await first.stop();
    stage.fill(60);
    const end = stage.sink.validatedEnd();
    await stage.link().start();
    await until(stage.isLevel, 'level again');
    expect(stage.isEqual()).toBe(true);
    expect(stage.source.attaches.at(-1)).toMatchObject({ position: end, storeId: 'standby-store' });
    expect(stage.source.reports.at(-1)?.[0]).toBe(end);
  });

  test('a half-open connection is noticed and replaced', async () => {
    const wan = await stage.throughProxy();
    stage.fill(20);
    await stage.link({ silenceMs: 1_000, stallMs: 500 }).start();
    await until(stage.isLevel, 'level');
    wan.halfOpen();
    stage.fill(20);
    await until(stage.isLevel, 'level over a new connection');
    expect(stage.isEqual()).toBe(true);
    expect(stage.source.reports.length).toBeGreaterThan(1);
  });

  test('a source that sends heartbeats and no data while it has more is attached anew', async () => {
    stage.fill(20);
    const link = stage.link({ stallMs: 500 });
    await link.start();
    await until(stage.isLevel, 'level');
    const attaches = stage.source.attaches.length;
    const held = stage.source.log.end;
    stage.source.mangle = (frame) => {
      if (frame.length > 12) return Buffer.alloc(0);
      frame.writeUInt32BE(held, 4);
      return frame;
    };
    stage.fill(5);
    await until(() => stage.source.attaches.length > attaches, 'a new attach');
    stage.source.mangle = undefined;
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
  });

  test('an offset jump takes nothing and ends the connection', async () => {
    stage.fill(20);
    let jumps = 0;
    stage.source.mangle = (frame, offset) => {
      if (offset < 2_000 || jumps > 2 || frame.length === 12) return frame;
      jumps++;
      const wrong = Buffer.from(frame);
      wrong.writeUInt32BE(offset + 64, 4);
      return wrong;
    };
    await stage.link().start();
    await until(stage.isLevel, 'level');
    expect(jumps).toBe(3);
    expect(stage.isEqual()).toBe(true);
  });

  test('bytes damaged on the way are fetched again', async () => {
    stage.fill(40);
    let damaged = 0;
    stage.source.mangle = (frame, offset) => {
      if (offset < 5_000 || damaged > 0 || frame.length === 12) return frame;
      damaged++;
      const wrong = Buffer.from(frame);
      wrong[500] = (wrong[500] ?? 0) ^ 0xff;
      return wrong;
    };
    await stage.link().start();
    await until(stage.isLevel, 'level');
    expect(damaged).toBe(1);
    expect(stage.isEqual()).toBe(true);
    expect(stage.sink.exported.length).toBe(1);
  });

  test('bytes that stay damaged stop the link instead of being skipped', async () => {
    stage.fill(40);
    stage.source.mangle = (frame, offset) => {
      const at = 5_000 - offset + 12;
      if (at < 12 || at >= frame.length) return frame;
      const wrong = Buffer.from(frame);
      wrong[at] = (wrong[at] ?? 0) ^ 0xff;
      return wrong;
    };
    const link = stage.link();
    await link.start();
    await until(() => link.status().state === 'failed', 'failed');
    expect(link.status().lastError).toMatch(/CORRUPT/);
    expect(stage.sink.validatedEnd()).toBeLessThanOrEqual(5_000);
    expect(link.health().isHealthy).toBe(false);
  });
});

describe('pace', () => {
  test('a full disk queue stops reading and lag keeps telling the truth', async () => {
    stage.fill(10);
    const link = stage.link({ pendingBytesMax: 1_048_576, stallMs: 500 });
    await link.start();
    await until(stage.isLevel, 'level');
    stage.sink.pending = 2_000_000;
    stage.fill(4_000);
    const appends = stage.sink.appends;
    await until(() => link.status().lagBytes > 100_000, 'lag');
    const calls = stage.source.statusCalls.length;
    await until(() => stage.source.statusCalls.length > calls + 10, 'ten samples later');
    expect(link.status().lagBytes).toBeGreaterThan(100_000);
    expect(link.status().lagMessages).toBeGreaterThan(100);
    expect(stage.sink.appends).toBeLessThan(appends + 1_000);
    stage.sink.drain();
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
  });

  test('a slow WAN delays bytes and loses none', async () => {
    const wan = await stage.throughProxy();
    wan.delay(20);
    wan.rate(400_000);
    stage.fill(200);
    const link = stage.link();
    await link.start();
    await until(() => link.status().state === 'catching-up' && link.status().lagBytes > 0, 'lag');
    await until(stage.isLevel, 'level');
    expect(stage.isEqual()).toBe(true);
  });

  test('only what was fsynced is acknowledged', async () => {
    let open: () => void = () => undefined;
    await stage.link().start();
    await until(() => stage.source.reports.length > 0, 'connected');
    stage.sink.flushGate = new Promise((resolve) => {
      open = resolve;
    });
    stage.fill(30);
    await until(stage.isLevel, 'taken');
    const reports = stage.source.reports.at(-1) ?? [];
    const repeated = reports.length + 2;
    await until(() => reports.length >= repeated, 'reports repeated');
    expect(Math.max(...reports)).toBe(1);
    stage.sink.flushGate = undefined;
    open();
    await until(() => reports.at(-1) === stage.source.log.end, 'acknowledged');
    for (const report of reports.slice(1)) expect([1, ...stage.sink.flushedEnds]).toContain(report);
  });

  test('only what was checked is acknowledged', async () => {
    await stage.link().start();
    await until(() => stage.source.reports.length > 0, 'connected');
    const reports = stage.source.reports.at(-1) ?? [];
    stage.fill(10);
    await until(() => reports.at(-1) === stage.source.log.end, 'acknowledged');
    const checked = stage.sink.validatedEnd();
    stage.sink.heldFrom = checked;
    stage.fill(30);
    await until(() => stage.sink.end === stage.source.log.end, 'taken');
    const repeated = reports.length + 2;
    await until(() => reports.length >= repeated, 'reports repeated');
    expect(Math.max(...reports)).toBe(checked);
    stage.sink.check();
    await until(() => reports.at(-1) === stage.source.log.end, 'acknowledged when checked');
  });

  test('damage that is found later is fetched again, also when no byte follows', async () => {
    const link = stage.link();
    await link.start();
    stage.fill(10);
    await until(stage.isLevel, 'level');
    stage.sink.heldFrom = stage.sink.validatedEnd();
    stage.fill(30);
    await until(() => stage.sink.end === stage.source.log.end, 'taken');
    stage.sink.findDamage();
    await until(stage.isLevel, 'level again');
    expect(stage.isEqual()).toBe(true);
    expect(stage.sink.exported).toHaveLength(1);
  });

  test('a halt waits until everything taken is checked', async () => {
    const link = stage.link();
    await link.start();
    await until(() => stage.source.reports.length > 0, 'connected');
    stage.sink.heldFrom = 0;
    stage.fill(30);
    await until(() => stage.sink.end === stage.source.log.end, 'taken');
    let isHalted = false;
    const halted = link.halt('op').then(() => {
      isHalted = true;
    });
    await until(() => link.status().haltedBy === 'op', 'the halt to begin');
    const flushes = stage.sink.flushedEnds.length;
    let looks = 0;
    await until(() => isHalted || ++looks > 40, 'a while to pass');
    expect([isHalted, stage.sink.flushedEnds.length]).toEqual([false, flushes]);
    stage.sink.check();
    await halted;
    expect(stage.sink.validatedEnd()).toBe(stage.source.log.end);
  });
});
