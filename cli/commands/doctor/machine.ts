// Probes of the machine: ports and who holds them, limits, memory, clock, disk space and how long a
// synchronous write takes. They change nothing but a small file that is removed again.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { sleep } from '../../../core-broker/base/index.ts';
import { byLimits, type Finding, type FindingState, finding } from './finding.ts';

const OPEN_FILES_WARN = 65_535;
const OPEN_FILES_BAD = 4_096;
const SYNC_WRITES = 200;
const SYNC_BYTES = 4_096;
const GIB = 2 ** 30;

export interface PortWish {
  host: string;
  port: number;
  what: string;
}

/** @param files  configuration files the wishes come from: a process started with one is meant by it */
export async function portFindings(
  wishes: PortWish[],
  files: ReadonlySet<string> = new Set(),
): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const wish of wishes) {
    const check = `${wish.port} (${wish.what})`;
    const problem = wish.port === 0 ? undefined : await tryListen(wish);
    if (problem === undefined) found.push(finding('ports', check, ['ok', 'free']));
    else if (problem === 'EADDRINUSE') {
      found.push(takenFinding(check, holderOf(wish.port), files));
    } else {
      const advice = 'choose a local address and a port this user may open';
      found.push(finding('ports', check, ['bad', `cannot be opened: ${problem}`, advice]));
    }
  }
  return found;
}

function tryListen({ host, port }: PortWish): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (reason: NodeJS.ErrnoException) => resolve(reason.code ?? reason.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function takenFinding(
  check: string,
  holder: Holder | undefined,
  files: ReadonlySet<string>,
): Finding {
  const who = holder === undefined ? 'a process of another user' : nameOf(holder);
  if (holder !== undefined && configFilesOf(holder).some((file) => files.has(file))) {
    return finding('ports', check, ['ok', `in use by the running ${who}`]);
  }
  const advice = 'fine when this is the service itself; else stop it or choose another port';
  return finding('ports', check, ['warn', `taken by ${who}`, advice]);
}

export interface Holder {
  pid: number;
  /** Words divided by zero bytes, as the kernel keeps them. */
  commandLine: string;
}

const nameOf = ({ pid, commandLine }: Holder): string =>
  `process ${pid} (${programOf(commandLine).slice(0, 60)})`;

/** Files that a process of this program was started with. */
function configFilesOf({ pid, commandLine }: Holder): string[] {
  const words = commandLine.split('\0');
  const folder = readLink(`/proc/${pid}/cwd`);
  return words.flatMap((word, at) => {
    const isGiven = word === '-c' || word === '--config';
    const file = isGiven ? words[at + 1] : /^--config=(.+)$/.exec(word)?.[1];
    return file === undefined ? [] : [path.resolve(folder, file)];
  });
}

/** Process that listens on a port; undefined when this user may not see it. */
export function holderOf(port: number): Holder | undefined {
  const inodes = listeningInodes(port);
  for (const pid of readFolder('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of readFolder(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      return { pid: Number(pid), commandLine: readText(`/proc/${pid}/cmdline`) };
    }
  }
  return undefined;
}

/** A command line as an operator knows it: without the interpreter, its options and long paths. */
export function programOf(commandLine: string): string {
  const words = commandLine.split('\0').filter((word) => word !== '');
  const at = words.findIndex((word) => /\/cli\/dr\.[jt]s$/.test(word));
  if (at >= 0) return ['dr', ...words.slice(at + 1)].join(' ');
  return words.map((word) => word.split('/').at(-1) ?? word).join(' ');
}

function listeningInodes(port: number): Set<string> {
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readText(table).split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const isThere = state === '0A' && Number.parseInt(local.split(':')[1] ?? '', 16) === port;
      if (isThere) inodes.add(inode);
    }
  }
  return inodes;
}

/** Other users' processes and other systems are not readable: that is an empty answer, no error. */
function orNothing<T>(read: () => T, nothing: T): T {
  try {
    return read();
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === undefined) throw reason;
    return nothing;
  }
}
const readFolder = (folder: string): string[] => orNothing(() => fs.readdirSync(folder), []);
const readLink = (file: string): string => orNothing(() => fs.readlinkSync(file), '');
const readText = (file: string): string => orNothing(() => fs.readFileSync(file, 'utf8'), '');

export function limitFindings(): Finding[] {
  const line = /Max open files\s+(\S+)/.exec(readText('/proc/self/limits'))?.[1];
  const limit = line === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(line ?? Number.NaN);
  const state: FindingState =
    limit < OPEN_FILES_BAD ? 'bad' : limit < OPEN_FILES_WARN ? 'warn' : 'ok';
  const advice = `raise it: ulimit -n ${OPEN_FILES_WARN}, or LimitNOFILE= of the service`;
  const [major = 0] = process.versions.node.split('.').map(Number);
  const free = Number(/MemAvailable:\s+(\d+)/.exec(readText('/proc/meminfo'))?.[1] ?? 0) * 1024;
  const available = free > 0 ? free : os.freemem();
  const memory: FindingState = available < GIB / 4 ? 'bad' : available < GIB ? 'warn' : 'ok';
  return [
    finding('limits', 'open files', [state, line ?? 'unknown', advice]),
    finding('limits', 'node', [
      major >= 24 ? 'ok' : 'bad',
      process.version,
      'install Node 24, or use the one the package brings',
    ]),
    finding('limits', 'memory', [
      memory,
      `${(available / GIB).toFixed(1)} of ${(os.totalmem() / GIB).toFixed(1)} GiB available`,
      'a broker wants 1 GiB for itself and page cache for its log',
    ]),
  ];
}

/** A wall clock that jumps moves delayed messages, retention and leases. */
export async function clockFindings(): Promise<Finding[]> {
  const before = { wall: Date.now(), steady: performance.now() };
  await sleep(500);
  const wall = Date.now() - before.wall;
  const drift = Math.abs(wall - (performance.now() - before.steady));
  const year = new Date().getUTCFullYear();
  return [
    finding('clock', 'wall against monotonic', [
      byLimits(drift, 20, 200),
      `${drift.toFixed(1)} ms apart after 0.5 s`,
      'something sets the clock in steps: let chrony or ntpd slew it',
    ]),
    finding('clock', 'year', [year >= 2024 ? 'ok' : 'bad', String(year), 'set the clock']),
  ];
}

export function diskFindings(folder: string): Finding[] {
  const place = existing(path.resolve(folder));
  const disk = fs.statfsSync(place);
  const used = disk.blocks === 0 ? 0 : 1 - disk.bavail / disk.blocks;
  const free = ((disk.bavail * disk.bsize) / GIB).toFixed(1);
  return [
    finding('disk', `space at ${place}`, [
      byLimits(used, 0.75, 0.9),
      `${free} GiB free, ${(used * 100).toFixed(0)} % used`,
      'at 75 % retention deletes early, at 90 % writes are refused: make room or lower fileReservedTime',
    ]),
    syncFinding(place),
  ];
}

/** The folder, or the nearest one above that exists already. */
function existing(folder: string): string {
  return fs.existsSync(folder) ? folder : existing(path.dirname(folder));
}

function syncFinding(folder: string): Finding {
  const check = `O_DSYNC write of 4 KiB at ${folder}`;
  const file = path.join(folder, `.dr-doctor-${process.pid}`);
  const times: number[] = [];
  try {
    const { O_CREAT, O_EXCL, O_WRONLY, O_DSYNC } = fs.constants;
    const fd = fs.openSync(file, O_CREAT | O_EXCL | O_WRONLY | O_DSYNC, 0o600);
    try {
      const page = Buffer.alloc(SYNC_BYTES, 1);
      for (let i = 0; i < SYNC_WRITES; i++) {
        const startMs = performance.now();
        fs.writeSync(fd, page, 0, page.length, i * page.length);
        times.push(performance.now() - startMs);
      }
    } finally {
      fs.closeSync(fd);
      fs.rmSync(file);
    }
  } catch (reason) {
    const why = (reason as Error).message;
    return finding('disk', check, ['bad', why, 'give this user a folder it may write']);
  }
  times.sort((left, right) => left - right);
  const at = (share: number) => times[Math.ceil(times.length * share) - 1] ?? 0;
  const seen = `p50 ${at(0.5).toFixed(2)} ms, p99 ${at(0.99).toFixed(2)} ms`;
  const advice =
    'SYNC_FLUSH sends wait for this: use a faster disk, or ASYNC_FLUSH and accept its risk';
  return finding('disk', check, [byLimits(at(0.99), 20, 200), seen, advice]);
}
