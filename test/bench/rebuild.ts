// Rebuild and verify of a stopped store (`dr log rebuild`, `dr log verify`: processes as an operator starts
// them) against a plain sequential read of the same log files, interleaved rounds. The page cache of the
// files is dropped before each of them, so that all three read the disk. Goal: at least half the rate of
// the read, for 1 KiB bodies. The log's records have a tag and a key, over 64 queues.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { openStore } from '../../core-broker/store/index.ts';
import { DR } from '../support/dr-command.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';
import type { BenchOptions, BenchResult, Figure } from './report.ts';

const ROUNDS = 5;
const SIZE_MIB = 2048;
const QUICK_MIB = 64;
const BODY_BYTES = 1024;
const QUEUES = 64;
const READ_BYTES = 4 * 1024 * 1024;

async function fill(root: string, sizeMib: number): Promise<number> {
  const store = await openStore(
    smallStoreOptions(root, {
      mappedFileSizeCommitLog: 256 * 1024 * 1024,
      mappedFileSizeConsumeQueue: 6_000_000,
      maxHashSlotNum: 5_000_000,
      maxIndexNum: 20_000_000,
      flushIntervalCommitLogMs: 500,
    }),
  );
  let end = 0;
  const body = Buffer.alloc(BODY_BYTES, 'rebuild ');
  for (let index = 0; end < sizeMib * 1024 * 1024; ) {
    for (let i = 0; i < 512; i++, index++) {
      const properties = { TAGS: `tag${index & 7}`, UNIQ_KEY: `7F0000010FA05C64${index}` };
      const queueId = index % QUEUES;
      const result = store.append(recordSource(store, { queueId, body, properties }));
      end = result.physicalOffset + result.sizeBytes;
    }
    await store.durable(end);
  }
  await store.close();
  return end;
}

/** Asks the kernel to forget the cached pages of the files; they are clean. */
function dropCache(files: string[]): void {
  for (const file of files) {
    execFileSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
  }
}

function sequentialRead(files: string[]): number {
  const startMs = performance.now();
  const chunk = Buffer.allocUnsafe(READ_BYTES);
  for (const file of files) {
    const fd = fs.openSync(file, 'r');
    while (fs.readSync(fd, chunk, 0, chunk.length, null) > 0);
    fs.closeSync(fd);
  }
  return (performance.now() - startMs) / 1000;
}

/** Seconds that the command says the work took: without the start of the process. */
function command(verb: 'rebuild' | 'verify', root: string): number {
  const text = execFileSync(DR, ['log', verb, root, '-o', 'json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const answer = JSON.parse(text) as { elapsedMs?: number; seconds?: number };
  return answer.seconds ?? (answer.elapsedMs ?? Number.NaN) / 1000;
}

export async function rebuildBench(options: BenchOptions): Promise<BenchResult> {
  const { folder, isQuick, say } = options;
  const rounds = options.rounds ?? (isQuick ? 1 : ROUNDS);
  const root = path.join(folder, 'store');
  const bytes = await fill(root, isQuick ? QUICK_MIB : SIZE_MIB);
  const log = path.join(root, 'commitlog');
  const files = fs.readdirSync(log).map((name) => path.join(log, name));
  const rates: Record<'read' | 'rebuild' | 'verify', number[]> = {
    read: [],
    rebuild: [],
    verify: [],
  };
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`);
    const runs = {
      read: () => sequentialRead(files),
      rebuild: () => command('rebuild', root),
      verify: () => command('verify', root),
    };
    for (const [name, run] of Object.entries(runs)) {
      dropCache(files);
      rates[name as keyof typeof rates].push(bytes / 1e6 / run());
    }
  }
  const ratio = (name: 'rebuild' | 'verify'): Figure => ({
    name: `${name} / sequential read`,
    unit: 'ratio of rates',
    values: rates[name].map((rate, round) => rate / (rates.read[round] ?? Number.NaN)),
    goal: { floor: 0.5 },
  });
  const rate = (name: keyof typeof rates): Figure => ({ name, unit: 'MB/s', values: rates[name] });
  return {
    figures: [ratio('rebuild'), ratio('verify'), rate('read'), rate('rebuild'), rate('verify')],
    details: { bytes, bodyBytes: BODY_BYTES, queues: QUEUES },
  };
}
