// Starts programs of this project as real processes and follows their life: log file, exit, signals.
// Used by the demo and by the tests, so that both drive what an operator would start.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import * as dgram from 'node:dgram';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import { NODE_FLAGS } from '../node-flags.ts';

const EXTENSION = path.extname(import.meta.filename);
/** The entry of `dr` in this tree: TypeScript in a checkout, compiled when installed. */
export const DR_ENTRY: string = path.resolve(import.meta.dirname, `../dr${EXTENSION}`);

/** A file beside this one as a program of its own. */
export const demoProgram = (name: string): string =>
  path.resolve(import.meta.dirname, `${name}${EXTENSION}`);

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Undefined while it runs; then the exit status or the signal name. */
  exit(): number | string | undefined;
  /** Sends a signal and waits until the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface StartOptions {
  name: string;
  /** Program file and its arguments; run by the Node that runs us. */
  args: string[];
  logFile: string;
  env?: Record<string, string>;
}

/** Starts one process; its output goes to its log file. */
export function startProcess(options: StartOptions): RunningProcess {
  fs.mkdirSync(path.dirname(options.logFile), { recursive: true });
  const log = fs.openSync(options.logFile, 'a');
  const child = spawn(process.execPath, [...NODE_FLAGS, ...options.args], {
    stdio: ['ignore', log, log],
    env: childEnvironment(options.env),
  });
  fs.closeSync(log);
  return follow(child, options);
}

/** Children inherit the environment; the map is handed through, never read here. */
function childEnvironment(extra: Record<string, string> | undefined): NodeJS.ProcessEnv {
  return { ...globalThis.process['env'], ...extra };
}

function follow(child: ChildProcess, options: StartOptions): RunningProcess {
  let exit: number | string | undefined;
  const gone = new Promise<number | string>((resolve) => {
    const settle = (status: number | string) => {
      exit = status;
      resolve(status);
    };
    child.once('exit', (code, signal) => settle(code ?? signal ?? 'unknown'));
    child.once('error', (reason) => settle(reason.message));
  });
  return {
    name: options.name,
    pid: child.pid ?? -1,
    logFile: options.logFile,
    exit: () => exit,
    stop: (signal = 'SIGTERM') => {
      if (exit === undefined) child.kill(signal);
      return gone;
    },
  };
}

/** Long enough for a machine that does many other things. */
const PATIENT_MS = 90_000;

/**
 * Waits until `condition` answers something other than undefined or false.
 * @throws DrError TIMEOUT that names what was waited for; UNEXPECTED when the watched process ended
 */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  options: { timeoutMs?: number; watch?: RunningProcess[] } = {},
): Promise<T> {
  const deadline = performance.now() + (options.timeoutMs ?? PATIENT_MS);
  for (;;) {
    const answer = await condition();
    if (answer !== undefined && answer !== false) return answer;
    const dead = options.watch?.find((running) => running.exit() !== undefined);
    if (dead) throw endedBefore(dead, what);
    if (performance.now() > deadline) throw new DrError('TIMEOUT', `waited too long for ${what}`);
    await sleep(20);
  }
}

/** Says in its own last words why a program ended: its log may be gone when the error is read. */
export function endedBefore(dead: RunningProcess, what: string): DrError {
  return new DrError('UNEXPECTED', `${dead.name} ended (${dead.exit()}) before ${what}`, {
    context: { log: tail(dead.logFile) },
    hint: tail(dead.logFile),
  });
}

/** The last lines of a log file, for error messages. */
export function tail(file: string, lines = 12): string {
  if (!fs.existsSync(file)) return '';
  return fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

/** Below the range from which systems take the ports of outgoing connections. */
const PORTS = { from: 10_240, to: 32_000 };
const HOST = '127.0.0.1';

/**
 * A port that is free now, that no outgoing connection will take before it is used, and that nobody else gets
 * from here, in this process or another: it is marked by a UDP socket until this process ends.
 * A broker also takes port - 2 and port + 1, so its base is spaced.
 */
export async function freePort(spaced = false): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await take(spaced ? [port, port - 2, port + 1] : [port])) return port;
  }
  throw new DrError('UNEXPECTED', 'no free port found');
}

async function take(ports: number[]): Promise<boolean> {
  const marks: dgram.Socket[] = [];
  for (const port of ports) {
    const mark = (await isFree(port)) ? await markOf(port) : undefined;
    if (mark === undefined) {
      for (const each of marks) each.close();
      return false;
    }
    marks.push(mark);
  }
  return true;
}

function markOf(port: number): Promise<dgram.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    // Expected when somebody else has marked it.
    socket.once('error', () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ port, address: HOST, exclusive: true }, () => {
      socket.unref();
      resolve(socket);
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}
