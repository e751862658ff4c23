// Snapshot (zstd level 1 + SHA-256 + the CRC of every record, fsynced, manifest; threads started and ended
// within the round) against `tar | zstd -1 -T<threads>` of the same commit-log files, those allocated
// ahead left out, interleaved rounds over a warm page cache. Goal: ratio >= 1.0. CPU seconds per GB stay
// comparable on a machine that others use too.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { backupConfigSchema } from '../../backup/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';
import type { BenchOptions, BenchResult } from './report.ts';

const ROUNDS = 5;
const SIZE_MIB = 1024;
const QUICK_MIB = 64;

interface Place {
  folder: string;
  root: string;
  /** Log files that hold data, below the root. */
  files: string[];
  threads: number;
}

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

async function fill(root: string, sizeMib: number): Promise<number> {
  fs.mkdirSync(root, { recursive: true });
  const store = await openStore(
    smallStoreOptions(root, {
      commitLogDir: path.join(root, 'commitlog'),
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

async function ours({ folder, root, threads }: Place): Promise<Round> {
  const repository = { kind: 'file', path: path.join(folder, 'repository') };
  const config = backupConfigSchema.parse({ repository, storeId: 'bench', workers: threads });
  const backup = await initBackup({ config });
  const startMs = performance.now();
  const before = process.cpuUsage();
  await backup.run({ rootDir: root });
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  backup.close();
  fs.rmSync(repository.path, { recursive: true });
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

function tar({ folder, root, files, threads }: Place): Round {
  const out = path.join(folder, 'tar.zst');
  const startMs = performance.now();
  const pipeline = `tar -C ${root} -cf - ${files.join(' ')} | zstd -1 -T${threads} -q -o ${out}`;
  const text = execFileSync('sh', ['-c', `${pipeline}; times`], { encoding: 'utf8' });
  const seconds = (performance.now() - startMs) / 1000;
  fs.rmSync(out);
  // `times` prints user and system time of the children on its second line, as 0m1.234s.
  const parts = [...(text.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  const cpuSeconds = parts.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0);
  return { seconds, cpuSeconds };
}

export async function backupBench(options: BenchOptions): Promise<BenchResult> {
  const { folder, isQuick, say } = options;
  const rounds = options.rounds ?? (isQuick ? 1 : ROUNDS);
  const root = path.join(folder, 'store');
  const bytes = await fill(root, isQuick ? QUICK_MIB : SIZE_MIB);
  const names = fs.readdirSync(path.join(root, 'commitlog')).filter((name) => Number(name) < bytes);
  const files = names.map((name) => `commitlog/${name}`);
  const place: Place = { folder, root, files, threads: os.cpus().length };
  const mine: Round[] = [];
  const theirs: Round[] = [];
  // Round 0 warms the page cache and is not counted.
  for (let round = 0; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`);
    mine.push(await ours(place));
    theirs.push(tar(place));
  }
  const rates = (all: Round[]) => all.slice(1).map(({ seconds }) => bytes / 1e6 / seconds);
  const cpu = (all: Round[]) => all.slice(1).map(({ cpuSeconds }) => cpuSeconds / (bytes / 1e9));
  const ratio = rates(mine).map((rate, round) => rate / (rates(theirs)[round] ?? Number.NaN));
  return {
    figures: [
      {
        name: 'snapshot / tar | zstd -1',
        unit: 'ratio of rates',
        values: ratio,
        goal: { floor: 1, aim: 1.3 },
      },
      { name: 'snapshot', unit: 'MB/s', values: rates(mine) },
      { name: 'tar | zstd -1', unit: 'MB/s', values: rates(theirs) },
      { name: 'snapshot CPU', unit: 's/GB', values: cpu(mine) },
      { name: 'tar | zstd -1 CPU', unit: 's/GB', values: cpu(theirs) },
    ],
    details: { bytes, threads: place.threads },
  };
}
