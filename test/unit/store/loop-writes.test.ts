// Which writes the loop waits for: those of a disk that did not hold the last one back.
import * as fs from 'node:fs';
import { expect, test } from 'vitest';
import { openStore } from '../../../core-broker/store/index.ts';
import { LoopWrites } from '../../../core-broker/store/log/flush/loop-writes.ts';
import { BrokenDisk } from '../../support/broken-disk.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

/** A clock that only moves when told. */
function handClock() {
  const clock = { atMs: 1_000, nowMs: () => clock.atMs, monotonicMs: () => clock.atMs };
  return clock;
}

test('small writes are waited for, large ones are not', () => {
  const writes = new LoopWrites(handClock());
  expect(writes.mayWait(1)).toBe(true);
  expect(writes.mayWait(512 * 1024)).toBe(true);
  expect(writes.mayWait(512 * 1024 + 1)).toBe(false);
});

test('behind a slow write the loop is free for twenty times as long', () => {
  const clock = handClock();
  const writes = new LoopWrites(clock);
  const runFor = (ms: number) =>
    writes.run(() => {
      clock.atMs += ms;
    });
  runFor(5);
  expect(writes.mayWait(1)).toBe(true);
  runFor(50);
  expect(writes.mayWait(1)).toBe(false);
  clock.atMs += 999;
  expect(writes.mayWait(1)).toBe(false);
  clock.atMs += 1;
  expect(writes.mayWait(1)).toBe(true);
});

test('a disk that holds writers back holds the loop once; records go on through the pool', async () => {
  const root = tempFolder();
  const disk = new BrokenDisk();
  const store = await openStore(smallStoreOptions(root), disk);
  const appendDurably = async () => {
    const { physicalOffset, sizeBytes } = store.append(recordSource(store, {}));
    await store.durable(physicalOffset + sizeBytes);
  };
  try {
    // Long enough that what follows on any machine falls into the time of the pool.
    disk.loopHoldMs = 500;
    // Why not one: on a busy machine a write before may have been slow by itself.
    for (const before = disk.loopWrites; disk.loopWrites === before; ) await appendDurably();
    const { loopWrites, poolWrites } = disk;
    for (let i = 0; i < 10; i++) await appendDurably();
    expect(disk.loopWrites).toBe(loopWrites);
    expect(disk.poolWrites).toBe(poolWrites + 10);
  } finally {
    await store.close();
    fs.rmSync(root, { recursive: true });
  }
});
