// One of our brokers and one stock Apache 5.5.0 broker side by side, each with its own name server and
// an empty store on the same disk, for benches that compare them. What the loads of this folder print is
// checked here: a send or pull that our broker refuses fails the bench. Apache's broker refuses sends
// while it is cold or short of a core (code 2); those are not counted as messages.
// Invariant: both brokers get the same flush mode and the defaults of their own program otherwise.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { startNameserver, startBroker as startStockBroker } from '../../interop/peers/rocketmq.ts';
import { freePort } from '../../support/dr-parts.ts';
import { runProgram, startBroker, startNameServer } from '../programs.ts';

const run = promisify(execFile);
const VERSION = '5.5.0';

/** One broker under load. */
export interface Site {
  name: 'ours' | 'apache';
  address: string;
  nameServer: string;
  pid: number;
  storeFolder: string;
}

export interface Pair {
  ours: Site;
  apache: Site;
  stop(): Promise<void>;
}

export interface PairOptions {
  folder: string;
  flushDiskType: 'ASYNC_FLUSH' | 'SYNC_FLUSH';
}

export async function startPair({ folder, flushDiskType }: PairOptions): Promise<Pair> {
  fs.mkdirSync(folder, { recursive: true });
  const [ours, apache] = await Promise.all([
    startOurs(folder, flushDiskType),
    startApache(path.join(folder, 'apache'), flushDiskType),
  ]);
  return {
    ours: ours.site,
    apache: apache.site,
    stop: async () => {
      await Promise.all([ours.stop(), apache.stop()]);
    },
  };
}

async function startOurs(folder: string, flushDiskType: string) {
  const nameServer = await startNameServer(folder);
  const lines = [`flushDiskType=${flushDiskType}`, `namesrvAddr=${nameServer.address}`];
  const broker = await startBroker({ name: 'ours', folder, lines });
  const site: Site = {
    name: 'ours',
    address: broker.address,
    nameServer: nameServer.address,
    pid: broker.pid,
    storeFolder: path.join(folder, 'ours'),
  };
  return { site, stop: () => Promise.all([broker.stop(), nameServer.stop()]) };
}

async function startApache(folder: string, flushDiskType: string) {
  const nameServer = await startNameserver({
    version: VERSION,
    folder: path.join(folder, 'name-server'),
    port: await freePort(),
    isMeasured: true,
  });
  const broker = await startStockBroker({
    version: VERSION,
    folder: path.join(folder, 'broker'),
    port: await freePort(true),
    namesrv: nameServer.address,
    heapMb: 4096,
    isMeasured: true,
    // Apache's own size of a log file; the tests use a smaller one.
    properties: { flushDiskType, mappedFileSizeCommitLog: 1_073_741_824 },
  });
  const site: Site = {
    name: 'apache',
    address: broker.address,
    nameServer: nameServer.address,
    pid: broker.child.pid,
    storeFolder: path.join(folder, 'broker/store'),
  };
  const stop = async () => {
    await broker.stop();
    await nameServer.stop();
  };
  return { site, stop };
}

export interface SendLoad {
  msgsPerSec: number;
  p50us: number;
  p99us: number;
  serverCpuUsPerMsg: number;
}

export interface PullLoad {
  mbPerSec: number;
  serverCpuUsPerKib: number;
}

type Words = Record<string, string | number | boolean>;

const wordsOf = (options: Words): string[] =>
  Object.entries(options).map(([key, value]) =>
    value === true ? `--${key}` : `--${key}=${value}`,
  );

export async function sendLoad(site: Site, options: Words): Promise<SendLoad> {
  const words = wordsOf({ pid: site.pid, ...options });
  const found = await runProgram('apache/matched-load.ts', [site.address, ...words]);
  const isRefusal = site.name === 'ours' && found['errors'] !== 0;
  if (isRefusal || found['messages'] === 0) {
    throw new Error(`${site.name} refused sends: ${JSON.stringify(found)}`);
  }
  return found as unknown as SendLoad;
}

export async function pullLoad(site: Site, options: Words): Promise<PullLoad> {
  const words = wordsOf({ pid: site.pid, ...options });
  const found = await runProgram('apache/pull-load.ts', [site.address, ...words]);
  if (found['refused'] !== undefined || found['bytes'] === 0) {
    throw new Error(`${site.name} refused pulls: ${JSON.stringify(found)}`);
  }
  return found as unknown as PullLoad;
}

/** Drops the pages of a store that no process has mapped, so that the next reading comes from disk. */
export async function evict(site: Site): Promise<void> {
  const files = fs
    .readdirSync(site.storeFolder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^\d{20}$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name));
  await run('sync');
  for (const file of files) {
    await run('dd', [`if=${file}`, 'of=/dev/null', 'iflag=nocache', 'count=0', 'status=none']);
  }
}
