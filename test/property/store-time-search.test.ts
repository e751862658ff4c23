// Lookup by time against a plain walk over the messages: equal times, gaps, a removed head, both bounds.
import * as fs from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeHost, encodeRecord } from '../../core-broker/protocol/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../core-broker/store/message-store.ts';
import { smallStoreOptions, tempFolder } from '../support/store-options.ts';

const HOST = encodeHost('127.0.0.1', 10911);
const QUEUE = { topic: 'orders', queueId: 0 };
const FILE_BYTES = 4_096;

/** A log of records with these store times, cut into small files. */
function layOut(root: string, timesMs: number[]): void {
  fs.mkdirSync(`${root}/commitlog`, { recursive: true });
  const files: Buffer[] = [Buffer.alloc(FILE_BYTES)];
  let at = 0;
  timesMs.forEach((storeTimestampMs, queueOffset) => {
    const make = (physicalOffset: number) =>
      encodeRecord({
        ...{ queueId: 0, flag: 0, queueOffset, physicalOffset, sysFlag: 0, reconsumeTimes: 0 },
        bornTimestampMs: 0,
        bornHost: HOST,
        storeTimestampMs,
        storeHost: HOST,
        preparedTransactionOffset: 0,
        body: Buffer.alloc(300),
        topic: QUEUE.topic,
        properties: '',
      });
    const left = FILE_BYTES - at;
    if (make(0).length + 8 > left) {
      files.at(-1)?.writeInt32BE(left, at);
      files.at(-1)?.writeInt32BE(-875286124, at + 4);
      files.push(Buffer.alloc(FILE_BYTES));
      at = 0;
    }
    const bytes = make((files.length - 1) * FILE_BYTES + at);
    bytes.copy(files.at(-1) as Buffer, at);
    at += bytes.length;
  });
  files.forEach((bytes, n) => {
    fs.writeFileSync(`${root}/commitlog/${String(n * FILE_BYTES).padStart(20, '0')}`, bytes);
  });
}

test('a lookup by time finds what a walk finds, whatever retention has taken', async () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(gaps, fc.nat(6), fc.boolean(), async (steps, removed, isTrimmed) => {
      const root = tempFolder();
      let nowMs = 1_700_000_000_000;
      const timesMs = steps.map((step) => (nowMs += step));
      layOut(root, timesMs);
      const changed = { mappedFileSizeCommitLog: FILE_BYTES, messageIndexEnable: false };
      const store = await openStore(smallStoreOptions(root, changed));
      try {
        const { files, retention } = partsOf(store as FileMessageStore);
        const count = Math.min(removed, files.all.length - 1);
        for (let n = 0; n < count; n++) files.removeFirst();
        if (isTrimmed) retention.trimDerived();
        const min = timesMs.findIndex((_, n) => physicalOf(store as FileMessageStore, n) >= 0);
        for (let ms = 1_699_999_999_999; ms <= nowMs + 1; ms++) {
          const kept = timesMs.map((time, n) => ({ time, n })).filter(({ n }) => n >= min);
          const lower = kept.find(({ time }) => time >= ms)?.n ?? timesMs.length;
          expect(store.offsetByTime(QUEUE, ms)).toBe(lower);
          const upper = kept.findLast(({ time }) => time <= ms)?.n;
          if (upper !== undefined) expect(store.offsetByTime(QUEUE, ms, 'upper')).toBe(upper);
        }
      } finally {
        await store.close();
        fs.rmSync(root, { recursive: true });
      }
    }),
    { numRuns: 40 },
  );
});

/** Where message n is; -1 when retention took it. */
function physicalOf(store: FileMessageStore, n: number): number {
  const { topics, files } = partsOf(store);
  const physical = topics.find(QUEUE)?.physicalAt(n) ?? -1;
  return physical < files.minOffset ? -1 : physical;
}
