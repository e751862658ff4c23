// Micro benchmark of the link's way into a store, in one process: a log file is read in pieces and
// appended exactly (checked, written, dispatched), against the same reads with bare writes.
//   node test/bench/store-link.ts [bodyBytes=1024] [totalMiB=1024] [pieceKiB=256]
// Prints one JSON line.
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Epoch } from '../../core-broker/base/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const [bodyBytes = 1024, totalMiB = 1024, pieceKiB = 256] = process.argv.slice(2).map(Number);
const SHAPE = {
  mappedFileSizeCommitLog: 1024 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 6_000_000,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
  flushIntervalCommitLogMs: 500,
};
const folders = [tempFolder(), tempFolder(), tempFolder()] as const;

async function makeSource(): Promise<number> {
  const store = await openStore(smallStoreOptions(folders[0], SHAPE));
  const record = recordSource(store, {
    body: Buffer.alloc(bodyBytes, 'x'),
    properties: { UNIQ_KEY: '0A0102030000000000000000000000AB', TAGS: 'TagA', CLUSTER: 'c' },
  });
  // Why different keys: the slots of one key alone would always be in the processor's cache.
  const keyEnd = record.properties.indexOf('AB\u0002TAGS');
  let number = 0;
  for (let end = 0; end < totalMiB * 1024 * 1024; ) {
    for (let i = 0; i < 2000; i++) {
      record.queueId = i & 7;
      let left = number++;
      for (let digit = keyEnd; digit > keyEnd - 8; digit--, left >>= 4) {
        record.properties[digit] = 65 + (left & 15);
      }
      const made = store.append(record);
      end = made.physicalOffset + made.sizeBytes;
    }
    await store.durable(end);
  }
  await store.flush();
  const { maxOffset } = store.storeBounds();
  await store.close();
  return maxOffset;
}

/** Reads the source's log piece by piece; CPU time says more than speed on a busy machine. */
async function copy(
  end: number,
  sink: (offset: number, bytes: Buffer) => void,
): Promise<{ MBps: number; cpuNsPerByte: number }> {
  const buffer = Buffer.alloc(pieceKiB * 1024);
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  let fd = -1;
  for (let at = 0; at < end; ) {
    const inFile = at % SHAPE.mappedFileSizeCommitLog;
    if (inFile === 0) {
      if (fd >= 0) fs.closeSync(fd);
      fd = fs.openSync(path.join(folders[0], 'commitlog', String(at).padStart(20, '0')), 'r');
    }
    const wanted = Math.min(buffer.length, end - at, SHAPE.mappedFileSizeCommitLog - inFile);
    const count = fs.readSync(fd, buffer, 0, wanted, inFile);
    sink(at, buffer.subarray(0, count));
    at += count;
    await new Promise((resolve) => setImmediate(resolve));
  }
  fs.closeSync(fd);
  const cpu = process.cpuUsage(cpuBefore);
  return {
    MBps: Math.round(end / 1e6 / ((performance.now() - startMs) / 1000)),
    cpuNsPerByte: Number((((cpu.user + cpu.system) * 1000) / end).toFixed(2)),
  };
}

try {
  const end = await makeSource();
  const bare = fs.openSync(path.join(folders[1], 'copy'), 'w');
  const bareCopy = await copy(end, (offset, bytes) => {
    fs.writeSync(bare, bytes, 0, bytes.length, offset);
  });
  fs.closeSync(bare);
  fs.rmSync(path.join(folders[1], 'copy'));
  const dr = { region: 'b', initialRole: 'standby' as const };
  const standby = await openStore(smallStoreOptions(folders[2], { ...SHAPE, ...dr }));
  const link = await copy(end, (offset, bytes) => standby.appendExact(offset, bytes, 0 as Epoch));
  console.log(
    JSON.stringify({
      bodyBytes,
      bytes: end,
      bareCopy,
      link,
      ratio: Number((link.MBps / bareCopy.MBps).toFixed(2)),
      rssMiB: Math.round(process.memoryUsage.rss() / 1024 / 1024),
    }),
  );
  await standby.close();
} finally {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
}
