// Snapshot (zstd level 1 + SHA-256, fsynced, manifest) against `tar | zstd -1 -T<threads>` of the same
// commit log, interleaved rounds over a warm page cache. Goal: ratio >= 1.0.
//   node test/bench/backup.ts [MiB=512] [rounds=5] [threads=2]
// Prints one JSON line: medians in MB/s of input, the ratio of the medians, and CPU seconds per GB, which
// stay comparable on a machine that others use too.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { backupConfigSchema, createBackup } from '../../backup/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';

const [sizeMib = 512, rounds = 5, threads = 2] = process.argv.slice(2).map(Number);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-bench-backup-'));
const root = path.join(folder, 'store');
const logDir = path.join(root, 'commitlog');

/** Orders as a shop writes them: JSON of about 1 KiB that zstd level 1 shrinks about five times. */
function orderOf(index: number): Buffer {
  const lines = Array.from({ length: 8 }, (_, i) => ({
    sku: `SKU-${(index * 7919 + i * 104_729) % 100_000}`,
    name: `Widget ${(index + i) % 500}`,
    quantity: 1 + ((index * 31 + i) % 9),
    price: ((index * 37 + i * 11) % 10_000) / 100,
  }));
  return Buffer.from(JSON.stringify({ order: index, customer: `C${index % 50_000}`, lines }));
}

async function fill(): Promise<number> {
  fs.mkdirSync(root, { recursive: true });
  const store = await openStore(
    smallStoreOptions(root, {
      commitLogDir: logDir,
      mappedFileSizeCommitLog: 256 * 1024 * 1024,
      mappedFileSizeConsumeQueue: 6_000_000,
      messageIndexEnable: false,
      flushIntervalCommitLogMs: 500,
    }),
  );
  let end = 0;
  for (let index = 0; end < sizeMib * 1024 * 1024; ) {
    for (let i = 0; i < 512; i++, index++) {
      const body = orderOf(index);
      const queueId = index & 3;
      const result = store.append(recordSource(store, { queueId, body }));
      end = result.physicalOffset + result.sizeBytes;
    }
    await store.durable(end);
  }
  await store.close();
  fs.mkdirSync(path.join(root, 'config'), { recursive: true });
  fs.writeFileSync(path.join(root, 'config', 'topics.json'), '{"topicConfigTable":{}}');
  return end;
}

interface Round {
  seconds: number;
  cpuSeconds: number;
}

async function ours(round: number): Promise<Round> {
  const repository = { kind: 'file', path: path.join(folder, `repository-${round}`) };
  const config = backupConfigSchema.parse({ repository, storeId: 'bench', workers: threads });
  const backup = await createBackup({ config });
  const startMs = performance.now();
  const before = process.cpuUsage();
  await backup.run({ rootDir: root });
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  backup.close();
  fs.rmSync(repository.path, { recursive: true });
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

function tar(round: number): Round {
  const out = path.join(folder, `tar-${round}.zst`);
  const startMs = performance.now();
  const pipeline = `tar -C ${root} -cf - commitlog | zstd -1 -T${threads} -q -o ${out}`;
  const text = execFileSync('sh', ['-c', `${pipeline}; times`], { encoding: 'utf8' });
  const seconds = (performance.now() - startMs) / 1000;
  fs.rmSync(out);
  // `times` prints user and system time of the children on its second line, as 0m1.234s.
  const parts = [...(text.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  const cpuSeconds = parts.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0);
  return { seconds, cpuSeconds };
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

try {
  const bytes = await fill();
  await ours(0);
  tar(0);
  const snapshotRates: number[] = [];
  const tarRates: number[] = [];
  const snapshotCpu: number[] = [];
  const tarCpu: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const mine = await ours(round);
    const theirs = tar(round);
    snapshotRates.push(bytes / 1e6 / mine.seconds);
    tarRates.push(bytes / 1e6 / theirs.seconds);
    snapshotCpu.push(mine.cpuSeconds / (bytes / 1e9));
    tarCpu.push(theirs.cpuSeconds / (bytes / 1e9));
  }
  const snapshotMbPerSecond = Math.round(median(snapshotRates));
  const tarMbPerSecond = Math.round(median(tarRates));
  console.log(
    JSON.stringify({
      bench: 'backup',
      sizeMib,
      rounds,
      threads,
      snapshotMbPerSecond,
      tarMbPerSecond,
      ratio: Number((median(snapshotRates) / median(tarRates)).toFixed(2)),
      goal: 1.0,
      snapshotCpuSecondsPerGb: Number(median(snapshotCpu).toFixed(2)),
      tarCpuSecondsPerGb: Number(median(tarCpu).toFixed(2)),
      snapshotRates: snapshotRates.map(Math.round),
      tarRates: tarRates.map(Math.round),
    }),
  );
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
