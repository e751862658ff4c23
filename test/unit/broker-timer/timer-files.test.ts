// The timer files byte for byte: what a 5.5.0 broker reads and writes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  readCheckpoint,
  TimerLog,
  type TimerUnit,
  TimerWheel,
  WHEEL_BYTES,
  writeCheckpoint,
} from '../../../core-broker/broker/timer/files/index.ts';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-timer-files-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const unit = (more: Partial<TimerUnit> = {}): TimerUnit => ({
  previous: -1,
  magic: 1,
  enqueuedMs: 1_700_000_000_000,
  slotMs: 1_700_000_005_000,
  physicalOffset: 2 ** 33 + 7,
  sizeBytes: 300,
  topicHash: -5,
  ...more,
});

describe('timer log', () => {
  const open = (fileBytes: number) => new TimerLog(path.join(folder, 'timerlog'), fileBytes);

  test('an entry is 52 bytes in the order of Apache', async () => {
    const log = open(4_096);
    expect(log.append(unit())).toBe(0);
    await log.sync();
    const file = path.join(folder, 'timerlog', '00000000000000000000');
    const bytes = fs.readFileSync(file);
    expect(bytes).toHaveLength(4_096);
    expect(bytes.readInt32BE(0)).toBe(52);
    expect(bytes.readBigInt64BE(4)).toBe(-1n);
    expect(bytes.readInt32BE(12)).toBe(1);
    expect(bytes.readBigInt64BE(16)).toBe(1_700_000_000_000n);
    expect(bytes.readInt32BE(24)).toBe(5_000);
    expect(bytes.readBigInt64BE(28)).toBe(2n ** 33n + 7n);
    expect(bytes.readInt32BE(36)).toBe(300);
    expect(bytes.readInt32BE(40)).toBe(-5);
    expect(bytes.subarray(44, 52)).toEqual(Buffer.alloc(8));
    log.close();
  });

  test('a file ends with a blank and the chain goes on in the next', async () => {
    const log = open(200);
    const positions = Array.from({ length: 8 }, (_, n) => log.append(unit({ sizeBytes: n })));
    expect(positions).toEqual([0, 52, 104, 200, 252, 304, 400, 452]);
    await log.sync();
    const bytes = fs.readFileSync(path.join(folder, 'timerlog', '00000000000000000000'));
    expect(bytes.readInt32BE(156)).toBe(44);
    // 0xBBCCDDEE ^ 1880681586 + 8 as Java computes it.
    expect(bytes.readInt32BE(168)).toBe((0xbbccddee ^ 1_880_681_594) | 0);
    log.close();
    const again = open(200);
    again.load();
    expect(positions.map((at) => again.read(at))).toEqual(
      positions.map((_, n) => unit({ sizeBytes: n })),
    );
    expect(again.read(156)).toBe('blank');
    expect(again.read(504)).toBeUndefined();
    again.close();
  });

  test('files whose records are gone are removed, the last one never', () => {
    const log = open(200);
    for (let n = 0; n < 8; n++) log.append(unit({ physicalOffset: n * 100 }));
    log.trim(150);
    expect(log.start).toBe(0);
    log.trim(250);
    expect(log.start).toBe(200);
    log.trim(10_000);
    expect(log.start).toBe(400);
    log.close();
  });
});

describe('timer wheel', () => {
  const file = () => path.join(folder, 'timerwheel');
  const stepMs = 1_000;

  test('a slot stands at its place and is read back', async () => {
    const wheel = new TimerWheel(file(), stepMs);
    wheel.put(1_700_000_005_000, 104, 1);
    wheel.put(1_700_000_005_000, 156, 1);
    wheel.put(1_700_000_009_000, 208, -1);
    expect(wheel.total).toBe(1);
    await wheel.write(wheel.takeChanges());
    const at = (1_700_000_005 % (7 * 86_400 * 2)) * 32;
    const bytes = fs.readFileSync(file());
    expect(bytes).toHaveLength(WHEEL_BYTES);
    expect(bytes.readBigInt64BE(at)).toBe(1_700_000_005n);
    expect(bytes.readBigInt64BE(at + 8)).toBe(104n);
    expect(bytes.readBigInt64BE(at + 16)).toBe(156n);
    expect(bytes.readInt32BE(at + 24)).toBe(2);
    wheel.close();
    const again = new TimerWheel(file(), stepMs);
    again.load(1_700_000_006_000);
    expect(again.get(1_700_000_005_000)).toBeUndefined();
    expect(again.get(1_700_000_009_000)).toMatchObject({ lastPos: 208, count: -1 });
    again.close();
  });

  test('times beyond 2^31 seconds are read back', async () => {
    const timeMs = 2 ** 32 * 1_000;
    const wheel = new TimerWheel(file(), stepMs);
    wheel.put(timeMs, 52, 1);
    await wheel.write(wheel.takeChanges());
    wheel.close();
    const again = new TimerWheel(file(), stepMs);
    again.load(0);
    expect(again.get(timeMs)).toMatchObject({ firstPos: 52 });
    again.close();
  });

  test('the next slot is found by steps and by search', () => {
    const wheel = new TimerWheel(file(), stepMs);
    for (const timeMs of [90_000, 30_000, 60_000]) wheel.put(timeMs, 0, 1);
    expect(wheel.next(30_000, 32_000)).toBe(30_000);
    expect(wheel.next(31_000, 60_000)).toBeUndefined();
    expect(wheel.next(31_000, 61_000)).toBe(60_000);
    expect(wheel.next(0, 10_000_000)).toBe(30_000);
  });
});

describe('checkpoint', () => {
  const state = {
    readTimeMs: 1_700_000_000_000,
    flushedPos: 520,
    queueOffset: 10,
    stateVersion: 3,
    timestampMs: 1_700_000_001_234,
    counter: 7,
  };

  test('56 bytes, the smaller of both queue offsets counts', () => {
    const bytes = encodeCheckpoint(state);
    expect(bytes).toHaveLength(56);
    expect(bytes.readBigInt64BE(16)).toBe(10n);
    bytes.writeBigInt64BE(4n, 24);
    expect(decodeCheckpoint(bytes)).toEqual({ ...state, queueOffset: 4 });
    expect(decodeCheckpoint(bytes.subarray(1))).toBeUndefined();
    expect(decodeCheckpoint(Buffer.alloc(56, 0xff))).toBeUndefined();
  });

  test('a copied one is told from one of the side itself', async () => {
    const file = path.join(folder, 'config', 'timercheck');
    await writeCheckpoint(file, { ...state, mirroredIn: 2 });
    expect(fs.statSync(file).size).toBe(4_096);
    expect(readCheckpoint(file)).toEqual({ ...state, mirroredIn: 2 });
    await writeCheckpoint(file, { ...state, mirroredIn: undefined });
    expect(readCheckpoint(file)).toEqual({ ...state, mirroredIn: undefined });
  });
});
