// The client programs of test/interop/clients as child processes, and the histories they write. The
// programs are unmodified users of Apache's Java client, rocketmq-client-go and ali-ons; what they wrote
// down is the only thing a checker may read.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Child } from './child.ts';
import { ensurePeers, goClientProgram, jarsOf, peerFolder } from './install.ts';
import { SHORT_LIVED_JVM } from './jvm.ts';

export type ClientKind = 'java-5.5.0' | 'java-4.9.8' | 'go' | 'ali-ons';
export type ClientMode =
  | 'produce'
  | 'batch'
  | 'consume'
  | 'orderly'
  | 'broadcast'
  | 'retry'
  /** go only */
  | 'transaction'
  | 'request';

export interface ClientOptions {
  kind: ClientKind;
  mode: ClientMode;
  namesrv: string;
  topic: string;
  group: string;
  /** Folder for history and log; made when missing. */
  folder: string;
  /** Name of the two files; one per running client. */
  name: string;
  /** More arguments: rate, count, seconds, threads, prefix, size, poll, batch, timeout, tag, filter. */
  more?: Record<string, string | number>;
  /** Options of the Java machine, e.g. -Dtls.enable=true. */
  jvm?: string[];
}

/** One line of a history. */
export interface HistoryEvent {
  t: number;
  op: 'send' | 'consume' | 'check';
  phase?: 'invoke' | 'ok' | 'fail' | 'unknown';
  key: string;
  /** `brokerName@queueId` */
  queue?: string;
  offset?: number;
  reconsume?: number;
  /** Tries of this send; only the Java programs can tell. */
  attempts?: number;
  error?: string;
}

export interface RunningClient {
  readonly child: Child;
  readonly historyFile: string;
  events(): HistoryEvent[];
  /** Stops it cleanly. @throws Error when it did not end with 0 */
  stop(): Promise<HistoryEvent[]>;
  /** Waits for a client with count or seconds. @throws Error when it did not end with 0 */
  finished(): Promise<HistoryEvent[]>;
}

/** What a client library cannot do: these pairs are not worth starting. */
export const isSupported = (kind: ClientKind, mode: ClientMode): boolean =>
  kind !== 'ali-ons' || (mode !== 'batch' && mode !== 'orderly');

/** Java clients give up on a busy machine by their defaults, which are LIBRARY_WAITS. */
const PATIENT = { api: 20_000, timeout: 20_000 };
export const LIBRARY_WAITS = { api: 3_000, timeout: 3_000 };

/** Starts a client program and waits until its library says that it is started. */
export async function startClient(options: ClientOptions): Promise<RunningClient> {
  const program = await programOf(options.kind, options.jvm ?? []);
  fs.mkdirSync(options.folder, { recursive: true });
  const historyFile = path.join(options.folder, `${options.name}.history`);
  fs.writeFileSync(historyFile, '');
  const { mode, namesrv, topic, group } = options;
  const all = { mode, namesrv, topic, group, history: historyFile, ...PATIENT, ...options.more };
  const child = new Child({
    ...program,
    args: [...program.args, ...Object.entries(all).map(([key, value]) => `${key}=${value}`)],
    logFile: path.join(options.folder, `${options.name}.log`),
  });
  await child.ready(() => child.output().includes('READY'));
  const events = () => readHistory(historyFile);
  const ended = async (code: Promise<number | null>) => {
    const status = await code;
    if (status === 0) return events();
    throw new Error(`${options.kind} ${mode} ended with ${status}:\n${child.output()}`);
  };
  return {
    child,
    historyFile,
    events,
    stop: () => ended(child.stop()),
    finished: () => ended(child.exited),
  };
}

/**
 * Starts a reader of each mode; those of Java in one program, because a Java machine costs seconds.
 * In group and name, % stands for the mode.
 */
export async function startReaders(
  options: Omit<ClientOptions, 'mode'>,
  modes: ClientMode[],
): Promise<Map<ClientMode, RunningClient>> {
  const readers = new Map<ClientMode, RunningClient>();
  if (!options.kind.startsWith('java')) {
    for (const mode of modes) {
      const [group, name] = [options.group, options.name].map((text) => text.replace('%', mode));
      readers.set(
        mode,
        await startClient({ ...options, mode, group: group ?? '', name: name ?? '' }),
      );
    }
    return readers;
  }
  const mode = modes.join(',') as ClientMode;
  const all = await startClient({ ...options, mode });
  for (const one of modes) {
    const historyFile = all.historyFile.replace('%', one);
    const events = () => readHistory(historyFile);
    readers.set(one, {
      ...{ child: all.child, historyFile, events },
      stop: () => all.stop().then(events),
      finished: () => all.finished().then(events),
    });
  }
  return readers;
}

async function programOf(kind: ClientKind, more: string[]) {
  if (kind === 'go') {
    await ensurePeers('go-client');
    return { command: goClientProgram(), args: [] };
  }
  if (kind === 'ali-ons') {
    await ensurePeers('ali-ons');
    return { command: process.execPath, args: [path.join(peerFolder('ali-ons'), 'client.cjs')] };
  }
  const classes = kind === 'java-5.5.0' ? 'java-client-5.5.0' : 'java-client-4.9.8';
  // 4.9 signs with a jar of its own, which its servers have; the client's own jars come first.
  const jars =
    kind === 'java-5.5.0'
      ? jarsOf('client-5.5.0')
      : `${jarsOf('client-4.9.8')}:${jarsOf('server-4.9.7')}`;
  await ensurePeers(classes);
  const jvm = ['-Xmx256m', ...SHORT_LIVED_JVM, '-Drocketmq.client.logUseSlf4j=false'];
  return {
    command: 'java',
    args: [...jvm, ...more, '-cp', `${peerFolder(classes)}:${jars}`, 'DrClient'],
  };
}

/** Whole lines of a history; a line a killed program was writing is left out. */
export function readHistory(file: string): HistoryEvent[] {
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as HistoryEvent);
}
