// The checker behind bulk bytes of a link, without a store round it: a thread that dies, a reader that is
// slow, a disk that is full under the queues.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DrError } from '../../core-broker/base/index.ts';
import { DigestRing, ROW } from '../../core-broker/store/check/digest-ring.ts';
import { LogChecker } from '../../core-broker/store/check/log-checker.ts';
import { LogFollower } from '../../core-broker/store/check/log-follower.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { LogState } from '../../core-broker/store/log/log-state.ts';
import { DelayLevels } from '../../core-broker/store/queue/digest/delay-levels.ts';
import { RecordDigest } from '../../core-broker/store/queue/digest/record-digest.ts';
import { Dispatcher } from '../../core-broker/store/queue/dispatcher.ts';
import { TopicTable } from '../../core-broker/store/queue/topic-table.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';
import { until } from '../support/until.ts';

const FILE_BYTES = 256 * 1024;
const RECORDS = 3_000;
const DELAYS = '1s 5s';
const CONTROL_BYTES = 64;
let root = '';
let end = 0;
const setup = () => ({
  folder: path.join(root, 'commitlog'),
  fileSize: FILE_BYTES,
  messageDelayLevel: DELAYS,
  hasIndex: false,
});

beforeEach(async () => {
  root = tempFolder();
  const shape = { mappedFileSizeCommitLog: FILE_BYTES };
  const store = await openStore(smallStoreOptions(root, shape));
  for (let i = 0; i < RECORDS; i++) {
    const body = Buffer.alloc((i * 31) % 400, i);
    const properties = { KEYS: 'a b c d', TAGS: `t${i % 5}` };
    const topic = `topic${i % 40}`;
    store.append(recordSource(store, { topic, queueId: i % 2, body, properties }));
    if (i % 200 === 0) await store.flush();
  }
  await store.flush();
  end = store.storeBounds().maxOffset;
  await store.close();
});
afterEach(() => fs.rmSync(root, { recursive: true }));

/** A checker that enters into nothing but memory: what it did is in `entered`. */
function makeChecker(entry?: URL) {
  const state = new LogState();
  const topics = new TopicTable(path.join(root, 'queues'), 20 * 10_000);
  const delays = new DelayLevels(DELAYS);
  const dispatcher = new Dispatcher(topics, state, { delays, index: undefined });
  const faults: DrError[] = [];
  const entered: number[] = [];
  let told = 0;
  dispatcher.listen({ onArrival: () => entered.push(state.dispatched) });
  const checker = new LogChecker(
    { state, topics, dispatcher, setup: setup(), ...(entry && { entry }) },
    { onChecked: () => told++, onFault: (reason) => faults.push(reason) },
  );
  return { checker, state, topics, faults, entered, dispatcher, told: () => told };
}

/** The thread is given time to answer before the store goes on: whatever it is told, it has done. */
function letTheThreadBeQuick(): void {
  const { notify } = Atomics;
  vi.spyOn(Atomics, 'notify').mockImplementation((...words) => {
    const woken = notify(...words);
    const endMs = performance.now() + 5;
    while (performance.now() < endMs);
    return woken;
  });
}
afterEach(() => vi.restoreAllMocks());

describe('a thread that answers at once', () => {
  test('is heard only when the order was given and the bytes behind it written', async () => {
    const { checker, told } = makeChecker();
    checker.warm();
    await until(() => checker.isReady, 'the thread');
    letTheThreadBeQuick();
    checker.begin(0, 0);
    expect(told()).toBe(0);
    checker.extend(end);
    expect([told(), checker.isIdle]).toEqual([0, false]);
    await until(() => checker.isIdle, 'everything to be checked');
    await checker.close();
  });
});

describe('a thread that dies', () => {
  test('loses nothing: its work is done by the store itself', async () => {
    const entry = new URL('../support/dying-checker.ts', import.meta.url);
    const { checker, state, faults, entered } = makeChecker(entry);
    checker.warm();
    await until(() => checker.isReady, 'the thread');
    checker.begin(0, end);
    await until(() => checker.isIdle, 'everything to be checked');
    expect(checker.isReady).toBe(false);
    expect([state.dispatched, entered.length, faults]).toEqual([end, RECORDS, []]);
    await checker.close();
  });

  test('while it starts loses nothing of what it was ordered before', async () => {
    const { checker, state, faults, entered } = makeChecker(
      new URL('./no-such-entry.ts', import.meta.url),
    );
    expect(checker.warm()).toBe(true);
    checker.begin(0, end);
    await until(() => checker.isIdle, 'everything to be checked');
    expect([state.dispatched, entered.length, faults]).toEqual([end, RECORDS, []]);
    await checker.close();
  });

  test('is started again, but not for ever', async () => {
    const entry = new URL('../support/dying-checker.ts', import.meta.url);
    const { checker, state } = makeChecker(entry);
    for (let death = 0; death < 3; death++) {
      checker.warm();
      await until(() => checker.isReady, 'a thread');
      checker.begin(state.dispatched, end);
      await until(() => checker.isIdle && !checker.isReady, 'its work to be done');
    }
    expect(checker.warm()).toBe(false);
    await checker.close();
    expect([checker.isReady, state.dispatched]).toEqual([false, end]);
  });

  test('leaves nothing to the next one but a fresh ring: its work goes on', async () => {
    const half = 500_000;
    const entry = new URL('../support/once-dying-checker.ts', import.meta.url);
    const { checker, state, entered } = makeChecker(entry);
    for (const to of [half, end]) {
      checker.warm();
      await until(() => checker.isReady, 'a thread');
      checker.begin(state.dispatched, to);
      await until(() => checker.isIdle, 'its work to be done');
    }
    expect(checker.isReady).toBe(true);
    expect([state.dispatched, entered.length]).toEqual([end, RECORDS]);
    await checker.close();
  });

  test('and work halted while it waits for room on the disk does not keep the next one away', async () => {
    const entry = new URL('../support/once-dying-checker.ts', import.meta.url);
    const { checker, dispatcher } = makeChecker(entry);
    let tries = 0;
    dispatcher.listen({
      onArrival: () => {
        tries++;
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      },
    });
    checker.warm();
    await until(() => checker.isReady, 'the thread');
    checker.begin(0, end);
    await until(() => !checker.isReady && tries > 2, 'tries after its death');
    checker.halt();
    await until(() => {
      checker.warm();
      return checker.isReady;
    }, 'the next thread');
    await checker.close();
  });

  test('and files that cannot be read are a fault, not a silence', async () => {
    const { checker, state, faults } = makeChecker();
    checker.warm();
    await until(() => checker.isReady, 'the thread');
    fs.rmSync(path.join(root, 'commitlog', String(2 * FILE_BYTES).padStart(20, '0')));
    checker.begin(0, end);
    await until(() => faults.length > 0, 'the fault');
    expect(state.dispatched).toBe(2 * FILE_BYTES);
    expect(faults[0]?.message).toMatch(/ENOENT/);
    await checker.close();
  });
});

test('a thread that is closed while it starts ends by itself', async () => {
  for (let i = 0; i < 5; i++) {
    const { checker } = makeChecker();
    checker.warm();
    await checker.close();
    expect(checker.isReady).toBe(false);
  }
});

test('a full disk under the queues delays the entry and repeats none', async () => {
  const { checker, state, entered, faults, dispatcher } = makeChecker();
  let isFull = true;
  let tries = 0;
  dispatcher.listen({
    onArrival: () => {
      if (!isFull || entered.length < 100) return;
      tries++;
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    },
  });
  checker.warm();
  await until(() => checker.isReady, 'the thread');
  checker.begin(0, end);
  await until(() => tries > 1, 'a second try');
  expect(entered.length).toBeLessThan(RECORDS);
  isFull = false;
  await until(() => checker.isIdle, 'the rest');
  expect([state.dispatched, entered.length, faults]).toEqual([end, RECORDS, []]);
  await checker.close();
});

describe('the ring', () => {
  test.each([1, 7, 100])('holds its bound when %i rows are read at a time', (rowsAtATime) => {
    const words = 1024;
    const ring = new DigestRing(new SharedArrayBuffer(CONTROL_BYTES + words * 4));
    const follower = new LogFollower(ring, { ...setup(), hasIndex: true });
    const digest = new RecordDigest();
    let at = 0;
    let records = 0;
    let fullTimes = 0;
    let isDone = false;
    ring.order(0, end);
    while (!isDone) {
      if (follower.step() === 'full') fullTimes++;
      for (let i = 0; i < rowsAtATime; i++) {
        const kind = ring.peek();
        if (kind === 0) break;
        if (kind === ROW.damage) throw new Error('damaged');
        if (kind === ROW.idle) isDone = true;
        if (kind === ROW.blank) at += ring.word(1);
        if (kind > 0) {
          ring.record(digest);
          expect([digest.keyCount, digest.isQueued, digest.queueId]).toEqual([
            4,
            true,
            records % 2,
          ]);
          at += digest.size;
          records++;
        }
        ring.take();
      }
      ring.release();
    }
    follower.close();
    expect([records, at]).toEqual([RECORDS, end]);
    expect(fullTimes).toBeGreaterThan(10);
  });

  test('an order voids what was found under the one before', () => {
    const ring = new DigestRing();
    const follower = new LogFollower(ring, setup());
    ring.order(0, end);
    follower.step();
    const number = ring.order(0, 0);
    while (follower.step() !== 'idle');
    let begun = 0;
    for (let kind = ring.peek(); kind !== 0; kind = ring.peek()) {
      if (kind === ROW.begin) begun = ring.word(1);
      else if (begun === number) expect(kind).toBe(ROW.idle);
      ring.take();
    }
    expect(begun).toBe(number);
    follower.close();
  });
});
