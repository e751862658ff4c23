// Catching up: a primary with 2 GiB of log, then per round `cp -r` of the files, the bare copy over a
// socket (raw-copy.ts) and `dr standby` with an empty store, all into fresh files on the same disk.
// The link has no mode without consume queues, so one run gives both rates: bytes until all of them are in
// the standby's log files, with queues until all of them are checked and entered (what /status tells).
// Invariant: a round counts only if the copy is byte for byte the primary's log.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { waitFor } from '../../cli/demo/process.ts';
import { httpGet, layOutRegions, type RegionFiles, type Regions } from '../../cli/demo/regions.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { mappedFileName } from '../../core-broker/store/layout.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';
import { cpuUsOf, jsonLines, peakRssMib, runCopy, startReceiver } from './programs.ts';
import type { BenchOptions, BenchResult, Figure } from './report.ts';
import { onWarmMemory } from './warm-memory.ts';

const ROUNDS = 5;
const LOG_BYTES = 2 * 1024 ** 3;
const QUICK_BYTES = 256 * 1024 ** 2;
const FILE_BYTES = 1024 ** 3;
/** Room that is left at the end, so that the log fills whole files and no third one. */
const SPARE_BYTES = 4 * 1024 ** 2;
const QUEUES = 8;
/** Queues and index of a copy take that much more. */
const DERIVED_SHARE = 0.15;
/** Folder of the bare copy. */
const BARE = 'loop';
/** Of both ends of the log, to see whether they are copied; less than a record, and not zeros. */
const PROBE_BYTES = 64;

interface Round {
  cp: number;
  loop: number;
  /** Until the last byte is in the log files. */
  bytes: number;
  /** Until the last record is checked, in its queue and in the index. */
  queues: number;
  startMs: number;
  /** CPU of the receiving process, ns per byte: comparable also when the machine is busy. */
  linkCpu: number;
  loopCpu: number;
  peakMib: number;
}

interface Stage {
  regions: Regions;
  bytes: number;
  fileBytes: number;
}

const logOf = (region: RegionFiles): string => path.join(region.store, 'commitlog');

/** A store as the primary's own broker writes it, filled without a network. */
async function fillPrimary(east: RegionFiles, stage: Omit<Stage, 'regions'>, bodyBytes: number) {
  const store = await openStore(
    smallStoreOptions(east.store, {
      commitLogDir: logOf(east),
      mappedFileSizeCommitLog: stage.fileBytes,
      mappedFileSizeConsumeQueue: 6_000_000,
      maxHashSlotNum: 5_000_000,
      maxIndexNum: 20_000_000,
      flushIntervalCommitLogMs: 500,
      region: 'east',
    }),
  );
  store.guard.open(store.guard.state.epoch);
  const record = recordSource(store, {
    topic: 'BenchmarkTest',
    body: Buffer.alloc(bodyBytes, 'x'),
    properties: { UNIQ_KEY: '0A0102030000000000000000000000AB', TAGS: 'TagA', CLUSTER: 'c' },
  });
  const unique = record.properties.indexOf('0A01');
  for (let end = 0, n = 0; end < stage.bytes - SPARE_BYTES; ) {
    for (let i = 0; i < 2_000; i++, n++) {
      record.queueId = n % QUEUES;
      record.properties.write(n.toString(16).padStart(8, '0'), unique, 'latin1');
      const made = store.append(record);
      end = made.physicalOffset + made.sizeBytes;
    }
    await store.durable(end);
  }
  await store.close();
}

const rate = (bytes: number, startedAt: number): number =>
  bytes / 1e6 / ((performance.now() - startedAt) / 1000);

function copyFiles({ regions, bytes }: Stage): number {
  const into = path.join(regions.folder, 'cp');
  const startedAt = performance.now();
  execFileSync('cp', ['-r', logOf(regions.east), into]);
  const found = rate(bytes, startedAt);
  fs.rmSync(into, { recursive: true });
  return found;
}

async function copyOverSocket(stage: Stage): Promise<Pick<Round, 'loop' | 'loopCpu'>> {
  const { regions, bytes, fileBytes } = stage;
  const into = path.join(regions.folder, BARE);
  fs.mkdirSync(into);
  const receiver = await startReceiver(regions.folder, into, fileBytes);
  const files = fs.readdirSync(logOf(regions.east)).sort();
  const startedAt = performance.now();
  await runCopy(
    receiver.address,
    files.map((name) => path.join(logOf(regions.east), name)),
  );
  await waitFor('the bare copy to end', () => receiver.exit() !== undefined);
  const loop = rate(bytes, startedAt);
  fs.rmSync(into, { recursive: true });
  const cpuUs = Number(jsonLines(receiver.logFile).at(-1)?.['cpuUs']);
  return { loop, loopCpu: (cpuUs * 1_000) / bytes };
}

interface LinkNow {
  maxOffset: number;
}

/**
 * True when the copy holds the log's bytes [from, from + PROBE_BYTES).
 * Why not asked of the standby: an answer every 20 ms would take the time of the thread that is measured.
 */
function isCopied({ regions, fileBytes }: Stage, from: number): boolean {
  const name = mappedFileName(from - (from % fileBytes));
  const [copy, log] = [regions.west, regions.east].map((region) =>
    bytesAt(path.join(logOf(region), name), from % fileBytes),
  ) as [Buffer, Buffer];
  return copy.equals(log);
}

/** Empty while there is no such file. */
function bytesAt(file: string, position: number): Buffer {
  if (!fs.existsSync(file)) return Buffer.alloc(0);
  const bytes = Buffer.alloc(PROBE_BYTES);
  const fd = fs.openSync(file, 'r');
  fs.readSync(fd, bytes, 0, PROBE_BYTES, position);
  fs.closeSync(fd);
  return bytes;
}

async function statusOf(region: RegionFiles): Promise<LinkNow | undefined> {
  const answer = await httpGet(region.http, '/status');
  if (answer?.status !== 200) return undefined;
  const status = JSON.parse(answer.body) as Partial<LinkNow>;
  return status.maxOffset === undefined ? undefined : { maxOffset: status.maxOffset };
}

async function catchUp(stage: Stage, end: number): Promise<Omit<Round, 'cp' | 'loop' | 'loopCpu'>> {
  const { regions } = stage;
  const { west } = regions;
  const running = await regions.startRegion('west');
  const cpuBefore = cpuUsOf(running.pid);
  const startedAt = performance.now();
  const options = { watch: [running], timeoutMs: 300_000 };
  const reaches = (offset: number) => async () =>
    ((await statusOf(west))?.maxOffset ?? -1) >= offset;
  await waitFor('the first bytes', () => isCopied(stage, 0), options);
  const startMs = performance.now() - startedAt;
  await waitFor('all bytes', () => isCopied(stage, end - PROBE_BYTES), options);
  const bytes = rate(end, startedAt);
  await waitFor('west to be level', reaches(end), options);
  const queues = rate(end, startedAt);
  const linkCpu = ((cpuUsOf(running.pid) - cpuBefore) * 1_000) / end;
  const peakMib = peakRssMib(running.pid);
  await running.stop('SIGKILL');
  for (const name of fs.readdirSync(logOf(west))) {
    execFileSync('cmp', [path.join(logOf(west), name), path.join(logOf(regions.east), name)]);
  }
  fs.rmSync(west.store, { recursive: true });
  return { bytes, queues, linkCpu, startMs, peakMib };
}

async function measure(options: BenchOptions, bodyBytes: number): Promise<Round[]> {
  const folder = path.join(options.folder, `body-${bodyBytes}`);
  const bytes = options.isQuick ? QUICK_BYTES : LOG_BYTES;
  const fileBytes = Math.min(FILE_BYTES, bytes);
  const regions = await layOutRegions({
    folder,
    gateway: false,
    mappedFileSizeCommitLog: fileBytes,
  });
  const stage: Stage = { regions, bytes, fileBytes };
  options.say(`${bodyBytes} B: filling the primary with ${bytes / 2 ** 20} MiB`);
  await fillPrimary(regions.east, stage, bodyBytes);
  await regions.startGlobal();
  await regions.startRegion('east');
  const rounds: Round[] = [];
  try {
    const isReady = async () => (await httpGet(regions.east.http, '/health/ready'))?.status === 200;
    await waitFor('east to open', isReady, { timeoutMs: 60_000 });
    const end = (await statusOf(regions.east))?.maxOffset ?? 0;
    const warm = (into: string) => ({
      holdIn: folder,
      folder: into,
      bytes: bytes * (1 + DERIVED_SHARE),
    });
    const count = options.rounds ?? (options.isQuick ? 1 : ROUNDS);
    for (let round = 1; round <= count; round++) {
      const cp = copyFiles(stage);
      const bare = await onWarmMemory(warm(path.join(folder, BARE)), () => copyOverSocket(stage));
      const found = await onWarmMemory(warm(regions.west.store), () => catchUp(stage, end));
      rounds.push({ cp, ...bare, ...found });
      const shown = [cp, bare.loop, found.bytes, found.queues].map(Math.round).join(', ');
      const what = 'cp, loop, link bytes, with queues';
      options.say(`${bodyBytes} B: round ${round} of ${count}: ${what} ${shown} MB/s`);
    }
  } finally {
    await regions.stopAll();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return rounds;
}

function figuresOf(bodyBytes: number, rounds: Round[]): Figure[] {
  const name = `${bodyBytes} B`;
  const of = (pick: (round: Round) => number) => rounds.map(pick);
  return [
    {
      name: `${name}: bytes, link / bare copy`,
      unit: 'ratio of rates',
      values: of((round) => round.bytes / round.loop),
      goal: { floor: 0.7, aim: 0.85 },
    },
    {
      name: `${name}: with consume queues, link / bare copy`,
      unit: 'ratio of rates',
      values: of((round) => round.queues / round.loop),
      goal: { floor: 0.35, aim: 0.45 },
    },
    {
      name: `${name}: bytes, link / cp`,
      unit: 'ratio of rates',
      values: of((r) => r.bytes / r.cp),
    },
    { name: `${name}: link, bytes`, unit: 'MB/s', values: of((r) => r.bytes) },
    { name: `${name}: link, with queues`, unit: 'MB/s', values: of((r) => r.queues) },
    { name: `${name}: bare copy`, unit: 'MB/s', values: of((r) => r.loop) },
    { name: `${name}: link, CPU of the standby`, unit: 'ns/B', values: of((r) => r.linkCpu) },
    { name: `${name}: bare copy, CPU of the receiver`, unit: 'ns/B', values: of((r) => r.loopCpu) },
    { name: `${name}: cp`, unit: 'MB/s', values: of((r) => r.cp) },
    {
      name: `${name}: first bytes after start`,
      unit: 'ms',
      values: of((r) => r.startMs),
      goal: { floor: 1_000, isLess: true },
    },
    {
      name: `${name}: peak RSS of the standby`,
      unit: 'MiB',
      values: of((r) => r.peakMib),
      goal: { floor: 300, isLess: true },
      judged: 'max',
    },
  ];
}

export async function linkBench(options: BenchOptions): Promise<BenchResult> {
  const figures: Figure[] = [];
  for (const bodyBytes of [1024, 128]) {
    figures.push(...figuresOf(bodyBytes, await measure(options, bodyBytes)));
  }
  return { figures, details: { logBytes: options.isQuick ? QUICK_BYTES : LOG_BYTES } };
}
