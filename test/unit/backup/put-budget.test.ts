// A backup yields to the broker: when it is told to, that it then reads nothing, and that it always ends.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PutBudget, slowShare } from '../../../backup/child/put-budget.ts';
import {
  type Backup,
  backupConfigSchema,
  createBackup,
  openFileStore,
} from '../../../backup/index.ts';
import { Gate, SegmentPool } from '../../../backup/segment/index.ts';
import { DrError, histogram, readHistogram } from '../../../core-broker/base/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { buildStore } from '../../support/backup/log-builder.ts';
import { until } from '../../support/backup/until.ts';

describe('the share of slow sends', () => {
  const at = (...counts: number[]) =>
    [1, 10, 100, Number.POSITIVE_INFINITY].map((upToMs, i) => ({ upToMs, count: counts[i] ?? 0 }));

  test('counts what happened between two readings, not since the start', () => {
    const before = at(0, 0, 1_000, 1_000);
    expect(slowShare(before, at(100, 100, 1_100, 1_100), 10)).toBe(0);
    expect(slowShare(before, at(50, 50, 1_100, 1_100), 10)).toBeCloseTo(0.5);
  });

  test('is unknown without sends', () => {
    expect(slowShare(at(5, 5, 5, 5), at(5, 5, 5, 5), 10)).toBeUndefined();
    expect(slowShare([], [], 10)).toBeUndefined();
  });

  test('spreads the sends of one bucket evenly; behind the last bound all are slow', () => {
    const none = at(0, 0, 0, 0);
    expect(slowShare(none, at(0, 0, 100, 100), 55)).toBeCloseTo(0.5);
    expect(slowShare(none, at(0, 0, 0, 100), 5_000)).toBe(1);
    expect(slowShare(none, at(100, 100, 100, 100), 0.25)).toBeCloseTo(0.75);
  });

  test('is read from a histogram as it stands', async () => {
    const metric = histogram({ name: 'test_put_seconds', help: 'test', buckets: [0.01, 0.1] });
    for (const value of [0.001, 0.05, 0.05, 7]) metric.observe(value);
    expect(await readHistogram('test_put_seconds')).toEqual([
      { upTo: 0.01, count: 1 },
      { upTo: 0.1, count: 3 },
      { upTo: Number.POSITIVE_INFINITY, count: 4 },
    ]);
    expect(await readHistogram('test_unknown_seconds')).toEqual([]);
  });
});

describe('the budget', () => {
  test('runs while sends are fast or there are none, pauses while they are slow', () => {
    const budget = new PutBudget();
    expect(budget.decide(undefined, 0)).toBe('run');
    expect(budget.decide(0.05, 500)).toBe('run');
    expect(budget.decide(0.06, 1_000)).toBe('pause');
    expect(budget.decide(0, 1_500)).toBe('run');
  });

  test('lets the backup run for a while when the broker stays slow', () => {
    const budget = new PutBudget();
    const ticks = Array.from({ length: 100 }, (_, i) => budget.decide(1, i * 500));
    const first = ticks.indexOf('run');
    expect(first).toBe(40);
    expect(ticks.slice(40, 44)).toEqual(['run', 'run', 'run', 'run']);
    expect(ticks.slice(44, 84)).not.toContain('run');
  });
});

describe('a gate', () => {
  let folder: string;
  let root: string;
  let backup: Backup;
  beforeEach(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-gate-'));
    root = path.join(folder, 'store');
    buildStore(root, 800, { fileBytes: 64 * 1024 });
    const repository = { kind: 'file', path: path.join(folder, 'repository') };
    const config = backupConfigSchema.parse({ repository, storeId: 'shop', workers: 1 });
    backup = await initBackup({ config });
  });
  afterEach(() => {
    backup.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  test('opens by itself when nobody renews the pause', async () => {
    const gate = new Gate();
    gate.shut(1);
    gate.shut(2);
    await gate.passed();
    expect(gate.tally.pauses).toBe(1);
    gate.release();
    gate.shut(60_000);
    await gate.passed();
  });

  test('that is shut lets no worker read and nothing be sent; the run goes on when it opens', async () => {
    const gate = new Gate();
    let segments = 0;
    const isShut = () => Atomics.load(gate.cell, 0) === 1;
    const seenShut: boolean[] = [];
    const sent = () => fs.readdirSync(path.join(folder, 'repository'), { recursive: true });
    gate.shut(300);
    const run = backup.run({ rootDir: root, gate, onProgress: () => seenShut.push(isShut()) });
    await until(() => fs.existsSync(path.join(root, 'drSnapshot')));
    while (isShut()) {
      segments = sent().filter((name) => /[0-9a-f]{64}$/.test(String(name))).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await run).toMatchObject({ isComplete: true, records: 800 });
    expect(segments).toBe(0);
    expect(seenShut.length).toBeGreaterThan(0);
    expect(seenShut).not.toContain(true);
    expect(sent().some((name) => /[0-9a-f]{64}$/.test(String(name)))).toBe(true);
  });

  test('holds the worker thread itself: a task under way does not end while it is shut', async () => {
    const gate = new Gate();
    const pool = new SegmentPool(1, gate);
    const file = path.join(folder, 'file');
    fs.writeFileSync(file, Buffer.alloc(1024));
    const scan = { startOffset: 0, dataBytes: 1024, firstOffset: 0 };
    const task = { path: file, offset: 0, rawBytes: 1024, level: 1, key: undefined, scan };
    await pool.archive({ kind: 'archive', ...task });
    gate.shut(3_600_000);
    let isOpen = false;
    const seen = pool.archive({ kind: 'archive', ...task }).then(() => isOpen);
    // A second pool without a gate starts its thread and does the same: the first had its time too.
    const free = new SegmentPool(1);
    await free.archive({ kind: 'archive', ...task });
    isOpen = true;
    gate.release();
    expect(await seen).toBe(true);
    await Promise.all([pool.close(), free.close()]);
  });

  test('that shuts in the middle of a run holds the next object back', async () => {
    const gate = new Gate();
    const store = openFileStore({ root: path.join(folder, 'repository') });
    const putLarge = store.putLarge.bind(store);
    const seenShut: boolean[] = [];
    store.putLarge = async (...call) => {
      seenShut.push(Atomics.load(gate.cell, 0) === 1);
      // Not at once: whoever has just passed the open gate comes first.
      setImmediate(() => gate.shut(100));
      return await putLarge(...call);
    };
    const config = backupConfigSchema.parse({
      repository: { kind: 'file', path: path.join(folder, 'repository') },
      storeId: 'shop',
      workers: 2,
    });
    const held = await createBackup({ config, objectStore: store });
    const { files } = await held.run({ rootDir: root, gate });
    // Metadata is small and not held: only what came before it is looked at.
    expect(files).toBeGreaterThan(2);
    expect(seenShut.slice(0, files)).not.toContain(true);
    expect(gate.tally.pauses).toBeGreaterThan(0);
    held.close();
  });

  test('never keeps a run that was stopped', async () => {
    const gate = new Gate();
    const stop = new AbortController();
    const store = openFileStore({ root: path.join(folder, 'repository') });
    const list = store.list.bind(store);
    store.list = async (prefix) => {
      // Looked at right before the copy: an immediate later the workers stand at the gate.
      const reason = new DrError('CANCELLED', 'the daemon stops');
      if (prefix.startsWith('manifests')) setImmediate(() => stop.abort(reason));
      return await list(prefix);
    };
    const repository = { kind: 'file', path: path.join(folder, 'repository') };
    const config = backupConfigSchema.parse({ repository, storeId: 'shop', workers: 1 });
    const held = await createBackup({ config, objectStore: store });
    gate.shut(3_600_000);
    const run = held.run({ rootDir: root, gate, signal: stop.signal });
    const caught = run.catch((reason: unknown) => DrError.from(reason).code);
    expect(await caught).toBe('CANCELLED');
    held.close();
  });
});
