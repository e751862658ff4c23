// Real Apache RocketMQ servers, 4.9.7 and 5.5.0, on 127.0.0.1. Each server has a folder of its own under
// the caller's; ports are the caller's choice. Ready means: it says "boot success", its port answers, and a
// broker is listed by its name server.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { DrError } from '../../../core-broker/base/index.ts';
import { createPeerClient, type PeerClient } from '../../../core-broker/client/index.ts';
import {
  decodeClusterInfo,
  RequestCode,
  ResponseCode,
} from '../../../core-broker/protocol/index.ts';
import { Child } from './child.ts';
import { ensurePeers, jarsOf } from './install.ts';
import { SHORT_LIVED_JVM } from './jvm.ts';

export type ServerVersion = '4.9.7' | '5.5.0';

/** Both versions unmap buffers through internals of the JDK. */
const OPENS = [
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
  '--add-opens=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
];

/** A stock broker answers "busy" (2) when this machine does many other things; what is tested is not that. */
const PATIENT = { brokerFastFailureEnable: false, osPageCacheBusyTimeOutMills: 60_000 };

export interface NameserverOptions {
  version: ServerVersion;
  /** Folder for its configuration, home and log; made when missing. */
  folder: string;
  port: number;
  properties?: Record<string, string | number | boolean>;
  /** Options of the Java machine, e.g. -Dtls.config.file=... */
  jvm?: string[];
  /** Measured for its speed: the Java machine compiles as by its defaults. */
  isMeasured?: boolean;
}

export interface BrokerOptions extends NameserverOptions {
  namesrv: string;
  clusterName?: string;
  brokerName?: string;
  brokerId?: number;
  brokerRole?: 'ASYNC_MASTER' | 'SYNC_MASTER' | 'SLAVE';
  /** Heap, and as much direct memory. */
  heapMb?: number;
}

export interface RunningServer {
  readonly address: string;
  readonly child: Child;
  /** Clean: everything is on disk. Takes some seconds. */
  stop(): Promise<void>;
  /** SIGKILL, where nobody needs its store any more. */
  kill(): Promise<void>;
}

/** Starts an Apache name server and waits until it serves. */
export async function startNameserver(options: NameserverOptions): Promise<RunningServer> {
  await ensurePeers(`server-${options.version}`);
  const file = writeProperties(options, 'ns.conf', {
    listenPort: options.port,
    bindAddress: '127.0.0.1',
    ...options.properties,
  });
  const main = 'org.apache.rocketmq.namesrv.NamesrvStartup';
  return startServer(options, { main, file, heapMb: 128 }, async () => true);
}

/** Starts an Apache broker and waits until its name server lists it and tools get its statistics. */
export async function startBroker(options: BrokerOptions): Promise<RunningServer> {
  await ensurePeers(`server-${options.version}`);
  const brokerName = options.brokerName ?? 'broker-a';
  const file = writeProperties(options, 'broker.conf', {
    brokerClusterName: options.clusterName ?? 'DefaultCluster',
    brokerName,
    brokerId: options.brokerId ?? 0,
    brokerRole: options.brokerRole ?? 'ASYNC_MASTER',
    brokerIP1: '127.0.0.1',
    brokerIP2: '127.0.0.1',
    listenPort: options.port,
    namesrvAddr: options.namesrv,
    storePathRootDir: path.join(options.folder, 'store'),
    storePathCommitLog: path.join(options.folder, 'store/commitlog'),
    mappedFileSizeCommitLog: 67_108_864,
    flushDiskType: 'ASYNC_FLUSH',
    ...(options.isMeasured ? {} : PATIENT),
    ...options.properties,
  });
  const main = 'org.apache.rocketmq.broker.BrokerStartup';
  const address = `127.0.0.1:${options.port}`;
  const peer = createPeerClient();
  try {
    // On a busy machine a server may be slow to answer: it is asked again.
    const isUp = async () =>
      (await isRegistered(peer, options.namesrv, address).catch(notYet)) &&
      (await hasStatistics(peer, address).catch(notYet));
    return await startServer(options, { main, file, heapMb: options.heapMb ?? 512 }, isUp);
  } finally {
    peer.close();
  }
}

function notYet(reason: unknown): false {
  if (DrError.is(reason, 'TIMEOUT') || DrError.is(reason, 'NETWORK')) return false;
  throw reason;
}

/** Asks each name server itself: a run of mqadmin takes seconds and fails over mixed versions. */
async function isRegistered(peer: PeerClient, namesrv: string, address: string): Promise<boolean> {
  for (const server of namesrv.split(';')) {
    const answer = await peer.invoke(server, { code: RequestCode.GET_BROKER_CLUSTER_INFO }, 5_000);
    const brokers = Object.values(decodeClusterInfo(answer.body).brokerAddrTable);
    const known = brokers.flatMap((broker) => Object.values(broker.brokerAddrs));
    if (!known.includes(address)) return false;
  }
  return true;
}

/** A 4.9.7 broker refuses its runtime info until its statistics were sampled once. */
async function hasStatistics(peer: PeerClient, broker: string): Promise<boolean> {
  const answer = await peer.invoke(broker, { code: RequestCode.GET_BROKER_RUNTIME_INFO }, 5_000);
  return answer.code === ResponseCode.SUCCESS;
}

async function startServer(
  options: NameserverOptions,
  program: { main: string; file: string; heapMb: number },
  isKnown: () => Promise<boolean>,
): Promise<RunningServer> {
  const logFile = path.join(options.folder, 'server.log');
  const heap = [`-Xms${program.heapMb}m`, `-Xmx${program.heapMb}m`];
  const direct = `-XX:MaxDirectMemorySize=${program.heapMb}m`;
  const child = new Child({
    command: 'java',
    args: [
      ...(options.isMeasured ? [] : SHORT_LIVED_JVM),
      ...heap,
      direct,
      ...(options.jvm ?? []),
      ...javaArgs(options),
      program.main,
      '-c',
      program.file,
    ],
    logFile,
    cwd: options.folder,
  });
  const stop = async () => {
    await child.stop(60_000);
  };
  const kill = async () => {
    child.kill();
    await child.exited;
  };
  try {
    await child.ready(() => child.output().includes('boot success'));
    await child.ready(() => answers(options.port));
    await child.ready(isKnown);
  } catch (reason) {
    // Nobody else knows it: it would go on for ever.
    await kill();
    throw reason;
  }
  return { address: `127.0.0.1:${options.port}`, child, stop, kill };
}

function javaArgs(at: { version: ServerVersion; folder: string }): string[] {
  return [
    ...OPENS,
    `-Drocketmq.home.dir=${at.folder}`,
    `-Duser.home=${path.join(at.folder, 'home')}`,
    `-Drmq.logback.configurationFile=${path.join(at.folder, 'conf/logback.xml')}`,
    '-cp',
    jarsOf(`server-${at.version}`),
  ];
}

function writeProperties(
  options: NameserverOptions,
  name: string,
  properties: Record<string, string | number | boolean>,
): string {
  prepareHome(options);
  const file = path.join(options.folder, name);
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  fs.writeFileSync(file, lines.join(''));
  return file;
}

/** 4.9 ends without its logback files; 5.x needs the shaded class names spelled out. */
function prepareHome(at: { version: ServerVersion; folder: string }): void {
  const conf = path.join(at.folder, 'conf');
  if (fs.existsSync(path.join(conf, 'logback.xml'))) return;
  fs.mkdirSync(path.join(at.folder, 'home'), { recursive: true });
  fs.mkdirSync(conf, { recursive: true });
  const prefix = at.version === '4.9.7' ? 'ch.qos' : 'org.apache.rocketmq.logging.ch.qos';
  const text = `<configuration>
  <statusListener class="${prefix}.logback.core.status.NopStatusListener"/>
  <appender name="C" class="${prefix}.logback.core.ConsoleAppender">
    <encoder class="${prefix}.logback.classic.encoder.PatternLayoutEncoder">
      <pattern>%d{HH:mm:ss.SSS} %p %logger{20} - %m%n</pattern>
    </encoder>
  </appender>
  <root level="WARN"><appender-ref ref="C"/></root>
</configuration>
`;
  for (const name of ['logback', 'logback_namesrv', 'logback_broker', 'logback_tools']) {
    fs.writeFileSync(path.join(conf, `${name}.xml`), text);
  }
}

/** True when something accepts connections on this port. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
