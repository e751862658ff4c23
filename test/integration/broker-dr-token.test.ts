// The token proves what is in the files now: equal for equal stores, different for one byte, one queue or
// one offset, and never taken from before a cut.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Epoch } from '../../core-broker/base/index.ts';
import { StoreSink } from '../../core-broker/broker/dr/index.ts';
import { TokenMaker, tokenDifference } from '../../core-broker/broker/dr/token.ts';
import type { MetadataTables } from '../../core-broker/broker/metadata/index.ts';
import type { MessageStore } from '../../core-broker/store/index.ts';
import {
  appendMessage,
  logBytes,
  openSmallStore,
  SMALL_FILE_BYTES,
  tempFolder,
} from '../support/small-store.ts';

let sourceRoot: string;
let copyRoot: string;
let source: MessageStore;
let copy: MessageStore;
let sink: StoreSink;
let lines: { consumer: string[]; delay: string[] };
let proof: TokenMaker;

const tables = () => ({ offsetLines: () => lines }) as unknown as MetadataTables;
const maker = (store: MessageStore) =>
  new TokenMaker({ store, tables: tables(), fileSize: SMALL_FILE_BYTES });

async function fill(count: number, letter: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    appendMessage(source, { topic: 'T', queueId: i % 3, body: letter.repeat(400) });
  }
  await source.flush();
  await source.dispatched();
}

function copyRange(from: number, to: number): void {
  sink.append(from, logBytes(sourceRoot, from, to), 1 as Epoch);
}

beforeEach(async () => {
  sourceRoot = tempFolder('token-source');
  copyRoot = tempFolder('token-copy');
  lines = { consumer: ['T@g@0=1', 'T@g@1=2'], delay: ['1=0'] };
  source = await openSmallStore({ root: sourceRoot, region: 'east' });
  source.guard.open(1);
  copy = await openSmallStore({ root: copyRoot, region: 'west', initialRole: 'standby' });
  proof = maker(copy);
  sink = new StoreSink(copy, copyRoot, () => proof.forget());
  await fill(400, 'a');
  sink.adoptLineage(1 as Epoch, source.guard.state.lineage);
  copyRange(0, source.storeBounds().maxOffset);
});

afterEach(async () => {
  await source.close();
  await copy.close();
  for (const root of [sourceRoot, copyRoot]) fs.rmSync(root, { recursive: true, force: true });
});

it('is equal for equal stores, however much of the CRC was kept before', async () => {
  await proof.warm();
  const ours = await proof.compute();
  expect(ours.logEnd).toBeGreaterThan(2 * SMALL_FILE_BYTES);
  expect(tokenDifference(ours, await maker(source).compute())).toBeUndefined();
});

it('differs by one offset', async () => {
  const ours = await proof.compute();
  lines = { consumer: ['T@g@0=1', 'T@g@1=3'], delay: ['1=0'] };
  expect(tokenDifference(ours, await maker(source).compute())).toContain('offsets');
});

it('is computed anew after a cut, though the log is as long again', async () => {
  const end = source.storeBounds().maxOffset;
  await proof.warm();
  const cutAt = end - (end % SMALL_FILE_BYTES);
  const file = await sink.exportAndTruncate(cutAt);
  expect(path.basename(file)).toBe(`drTail-1-${cutAt}.log`);
  expect(fs.readFileSync(file).equals(logBytes(sourceRoot, cutAt, end))).toBe(true);
  const other = logBytes(sourceRoot, cutAt, end);
  // The flag of the first record: no CRC of the record covers it.
  other[19] = 1;
  sink.append(cutAt, other, 1 as Epoch);
  const ours = await proof.compute();
  expect(tokenDifference(ours, await maker(source).compute())).toContain(
    'bytes of the last log file',
  );
  expect(ours.lastFileCrc).toBe((await maker(copy).compute()).lastFileCrc);
});

it('keeps an export of the same cut that is there already', async () => {
  const end = source.storeBounds().maxOffset;
  const cutAt = end - (end % SMALL_FILE_BYTES);
  const first = await sink.exportAndTruncate(cutAt);
  copyRange(cutAt, end);
  const second = await sink.exportAndTruncate(cutAt);
  expect(second).not.toBe(first);
  expect(fs.readFileSync(first).length).toBe(end - cutAt);
});

it('takes nothing through a closed gate and goes on when it is opened again', async () => {
  const from = source.storeBounds().maxOffset;
  await fill(3, 'b');
  const to = source.storeBounds().maxOffset;
  sink.closeGate('promotion');
  expect(() => copyRange(from, to)).toThrow('closed');
  await expect(sink.exportAndTruncate(0)).rejects.toThrow('closed');
  expect(copy.validatedEnd()).toBe(from);
  sink.reopenGate();
  copyRange(from, to);
  expect(copy.validatedEnd()).toBe(to);
  expect(sink.position()).toMatchObject({ offset: to, lastRecordOffset: expect.any(Number) });
});
