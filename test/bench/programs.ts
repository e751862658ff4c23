// Starts what the benches drive and measures it from outside: the shipped `dr`, the yardsticks beside
// this file, and the kernel's own account of CPU time and memory per process.
// Invariant: every process started here is gone when the bench ends, however it ends.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { DR_ENTRY, type RunningProcess, startProcess, waitFor } from '../../cli/demo/process.ts';

const run = promisify(execFile);
const started: RunningProcess[] = [];
process.once('exit', () => {
  for (const each of started) if (each.exit() === undefined) process.kill(each.pid, 'SIGKILL');
});

export const benchProgram = (name: string): string => path.join(import.meta.dirname, name);

/** A server and the address it serves on. */
export interface Server extends RunningProcess {
  address: string;
}

interface StartOptions {
  name: string;
  folder: string;
  args: string[];
  /** Finds the address in a line of the log; undefined = not this line. */
  addressIn: (line: Record<string, unknown>) => string | undefined;
}

/** Starts a program that says its address in a JSON line, and waits for that line. */
async function startServer(options: StartOptions): Promise<Server> {
  const logFile = path.join(options.folder, `${options.name}.log`);
  fs.rmSync(logFile, { force: true });
  const running = startProcess({ name: options.name, args: options.args, logFile });
  started.push(running);
  const address = await waitFor(
    `${options.name} to listen`,
    () => jsonLines(logFile).map(options.addressIn).find(Boolean),
    { watch: [running] },
  );
  return Object.assign(running, { address });
}

/** The JSON lines of a log, the last one only when it is whole. */
export function jsonLines(file: string): Record<string, unknown>[] {
  if (!fs.existsSync(file)) return [];
  const whole = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

export function startNullServer(folder: string): Promise<Server> {
  return startServer({
    name: 'null-server',
    folder,
    args: [benchProgram('null-server.ts'), '0', 'events'],
    addressIn: (line) => (line['port'] === undefined ? undefined : `127.0.0.1:${line['port']}`),
  });
}

/** `dr nameserver -c FILE` with nothing in it but its port. */
export function startNameServer(folder: string): Promise<Server> {
  const file = path.join(folder, 'name-server.properties');
  const lines = ['listenPort=0', 'bindAddress=127.0.0.1', `kvConfigPath=${folder}/kv.json`];
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  return startServer({
    name: 'name-server',
    folder,
    args: [DR_ENTRY, 'nameserver', '-c', file],
    addressIn: (line) =>
      line['event'] === 'server.ready' ? (line['address'] as string) : undefined,
  });
}

export interface BrokerFiles {
  name: string;
  folder: string;
  /** More lines of broker.properties. */
  lines?: string[];
  nodeOptions?: string[];
}

/** `dr broker -c FILE` with an empty store of its own and every default an operator would get. */
export function startBroker({ name, folder, lines = [], nodeOptions = [] }: BrokerFiles) {
  const file = path.join(folder, `${name}.properties`);
  const text = [
    'brokerClusterName=bench',
    `brokerName=${name}`,
    'brokerIP1=127.0.0.1',
    'brokerIP2=127.0.0.1',
    'bindAddress=127.0.0.1',
    'listenPort=0',
    'haListenPort=0',
    `storePathRootDir=${path.join(folder, name)}`,
    ...lines,
  ];
  fs.writeFileSync(file, `${text.join('\n')}\n`);
  return startServer({
    name,
    folder,
    args: [...nodeOptions, DR_ENTRY, 'broker', '-c', file],
    addressIn: (line) =>
      line['event'] === 'server.ready' ? (line['broker'] as string) : undefined,
  });
}

/** Runs a program of this folder to its end and reads its one JSON line. */
export async function runProgram(name: string, args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await run(process.execPath, [benchProgram(name), ...args]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** User and system time of a process so far, in us; 0 where /proc does not exist. */
export function cpuUsOf(pid: number): number {
  const file = `/proc/${pid}/stat`;
  if (!fs.existsSync(file)) return 0;
  const text = fs.readFileSync(file, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Largest resident size a process ever had, MiB. */
export function peakRssMib(pid: number): number {
  const file = `/proc/${pid}/status`;
  const found = fs.existsSync(file) && /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(file, 'utf8'));
  return found ? Number(found[1]) / 1024 : Number.NaN;
}

/** The receiving side of the bare copy. */
export function startReceiver(folder: string, into: string, fileBytes: number): Promise<Server> {
  return startServer({
    name: 'raw-copy',
    folder,
    args: [benchProgram('raw-copy.ts'), 'receive', into, String(fileBytes)],
    addressIn: (line) => (line['port'] === undefined ? undefined : `127.0.0.1:${line['port']}`),
  });
}

/** The sending side, to its end. */
export async function runCopy(address: string, files: string[]): Promise<void> {
  await run(process.execPath, [benchProgram('raw-copy.ts'), 'send', address, ...files]);
}
