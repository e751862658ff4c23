// What a consumer that stands behind the end of the data is told after a failover, and what of its
// progress is taken down meanwhile.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../core-broker/base/index.ts';
import { ConsumerOffsets } from '../../../core-broker/broker/metadata/index.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-bounded-'));
const key = { topic: 'ORDERS', group: 'billing', queueId: 2 };
let offsets: ConsumerOffsets;

beforeEach(() => {
  const files = { main: path.join(folder, 'main.json'), standby: path.join(folder, 'own.json') };
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
