// What a consumer that stands behind the end of the data is told after a failover, and what of its
// progress is taken down meanwhile.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../core-broker/base/index.ts';
import { ConsumerOffsets } from '../../../core-broker/broker/metadata/index.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-bounded-'));
const files = {
  main: path.join(folder, 'main.json'),
  standby: path.join(folder, 'own.json'),
  bounds: path.join(folder, 'bounds.json'),
};
const key = { topic: 'ORDERS', group: 'billing', queueId: 2 };
let offsets: ConsumerOffsets;

beforeEach(() => {
  fs.rmSync(files.bounds, { force: true });
  offsets = new ConsumerOffsets(files, systemClock);
  offsets.commit(key, 90);
  offsets.bound(key, 100);
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

test('a consumer that read what is lost is sent back until it comes from there', () => {
  expect(offsets.boundFor(key, 150)).toBe(100);
  offsets.commit(key, 150);
  expect(offsets.query(key)).toBe(90);
  expect(offsets.boundFor(key, 101)).toBe(100);
  expect(offsets.boundFor(key, 100)).toBeUndefined();
  offsets.commit(key, 150);
  expect(offsets.query(key)).toBe(150);
  expect(offsets.boundFor(key, 150)).toBeUndefined();
});

test('progress up to the bound is taken down, other queues and groups are free', () => {
  offsets.commit(key, 100);
  expect(offsets.query(key)).toBe(100);
  expect(offsets.boundFor({ ...key, queueId: 3 }, 500)).toBeUndefined();
  expect(offsets.boundFor({ ...key, group: 'audit' }, 500)).toBeUndefined();
});

test('an order of the operator and the end of a group lift the bound', () => {
  offsets.reset(key, 400);
  expect(offsets.takeReset(key)).toBe(400);
  expect(offsets.boundFor(key, 400)).toBeUndefined();
  offsets.bound(key, 100);
  offsets.removeGroup('billing');
  expect(offsets.boundFor(key, 150)).toBeUndefined();
});

/** What a process finds that starts after this one. */
const reopened = () => new ConsumerOffsets(files, systemClock);

test('a bound outlives the process until it is spent, and its file goes with the last one', () => {
  offsets.bound({ ...key, queueId: 3 }, 50);
  offsets.saveBounds();
  const second = reopened();
  expect(second.boundFor(key, 150)).toBe(100);
  expect(second.boundFor(key, 100)).toBeUndefined();
  second.save();
  const third = reopened();
  expect(third.boundFor(key, 150)).toBeUndefined();
  expect(third.boundFor({ ...key, queueId: 3 }, 51)).toBe(50);
  third.reset({ ...key, queueId: 3 }, 7);
  third.save();
  expect(fs.existsSync(files.bounds)).toBe(false);
});

test('a second failover keeps the lower bound', () => {
  offsets.bound(key, 130);
  expect(offsets.boundFor(key, 120)).toBe(100);
});

test('a standby takes the bounds over, keeps them to itself and holds to them once it is promoted', () => {
  const standby = new ConsumerOffsets(
    { ...files, main: `${files.main}.2`, bounds: `${files.bounds}.2` },
    systemClock,
  );
  standby.enforceBounds(false);
  standby.replaceAll(offsets.content(), (_, offset) => offset);
  expect(standby.boundFor(key, 150)).toBeUndefined();
  standby.enforceBounds(true);
  expect(standby.boundFor(key, 150)).toBe(100);
  offsets.boundFor(key, 100);
  standby.replaceAll(offsets.content(), (_, offset) => offset);
  expect(standby.boundFor(key, 150)).toBeUndefined();
});

test('damaged bounds stop the start: a guess could skip messages', () => {
  fs.writeFileSync(files.bounds, '{"ORDERS@');
  expect(reopened).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  fs.rmSync(files.bounds);
});
