// Micro benchmark of the append path: encode + write + dispatch on one core, ASYNC_FLUSH by default.
//   node test/bench/store-append.ts [bodyBytes=128] [count=2000000] [ASYNC_FLUSH|SYNC_FLUSH]
// Prints one JSON line. Appends in batches of 1024 and waits until they may be acknowledged.
import * as fs from 'node:fs';
import { openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const [bodyBytes = 128, count = 2_000_000] = process.argv.slice(2, 4).map(Number);
const flushDiskType = process.argv[4] === 'SYNC_FLUSH' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
const BATCH = 1024;

const folder = tempFolder();
const store = await openStore(
  smallStoreOptions(folder, {
    mappedFileSizeCommitLog: 1024 * 1024 * 1024,
    mappedFileSizeConsumeQueue: 6_000_000,
    maxHashSlotNum: 5_000_000,
    maxIndexNum: 20_000_000,
    flushIntervalCommitLogMs: 500,
    flushDiskType,
  }),
);
const record = recordSource(store, {
  body: Buffer.alloc(bodyBytes, 'x'),
  properties: {
    UNIQ_KEY: '0A0102030000000000000000000000AB',
    TAGS: 'TagA',
    WAIT: 'true',
    MSG_REGION: 'DefaultRegion',
    TRACE_ON: 'true',
    CLUSTER: 'c',
  },
});

async function round(messages: number): Promise<number> {
  const startMs = performance.now();
  for (let done = 0; done < messages; done += BATCH) {
    let end = 0;
    for (let i = 0; i < BATCH; i++) {
      record.queueId = i & 7;
      const result = store.append(record);
      end = result.physicalOffset + result.sizeBytes;
    }
    await store.durable(end);
  }
  return messages / ((performance.now() - startMs) / 1000);
}

try {
  await round(100_000);
  const cpuBefore = process.cpuUsage();
  const perSecond = await round(count);
  const cpu = process.cpuUsage(cpuBefore);
  console.log(
    JSON.stringify({
      bodyBytes,
      count,
      flushDiskType,
      recordsPerSecond: Math.round(perSecond),
      cpuUsPerRecord: Number(((cpu.user + cpu.system) / count).toFixed(3)),
      rssMiB: Math.round(process.memoryUsage.rss() / 1024 / 1024),
    }),
  );
} finally {
  await store.close();
  fs.rmSync(folder, { recursive: true });
}
