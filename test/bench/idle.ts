// What a broker costs that does nothing: `dr broker` as shipped on a store with 50,000 queues, 10,000
// connections that are open and say nothing. Resident memory and CPU are the kernel's account of the
// process, taken when it has come to rest.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';
import { cpuUsOf, type Server, startBroker } from './programs.ts';
import type { BenchOptions, BenchResult } from './report.ts';

const QUEUES_PER_TOPIC = 8;
/** Connections that are being made at a time. */
const DIALS = 200;
const MIB = 1024 * 1024;

export async function idleBench({ isQuick, folder, say }: BenchOptions): Promise<BenchResult> {
  const queues = isQuick ? 2_000 : 50_000;
  const connections = isQuick ? 500 : 10_000;
  const seconds = isQuick ? 2 : 30;
  const root = path.join(folder, 'idle');
  await layOut(root, queues);
  say(`a store with ${queues} queues is there`);
  const bootMs = performance.now();
  const broker = await startBroker({ name: 'idle', folder });
  const boot = (performance.now() - bootMs) / 1000;
  say(`the broker serves after ${boot.toFixed(1)} s`);
  const sockets = await dialAll(broker, connections);
  say(`${sockets.length} connections are open`);
  await pause(isQuick ? 1_000 : 45_000);
  const beforeUs = cpuUsOf(broker.pid);
  await pause(seconds * 1_000);
  const cpuPercent = (cpuUsOf(broker.pid) - beforeUs) / seconds / 10_000;
  const rssMib = rssOf(broker.pid);
  const files = fs.readdirSync(`/proc/${broker.pid}/fd`).length - sockets.length;
  for (const socket of sockets) socket.destroy();
  await broker.stop();
  return {
    figures: [
      { name: 'boot', unit: 's', values: [boot] },
      {
        name: 'resident memory',
        unit: 'MiB',
        values: [rssMib],
        goal: { floor: 600, aim: 300, isLess: true },
      },
      {
        name: 'CPU of one core',
        unit: '%',
        values: [cpuPercent],
        goal: { floor: 3, aim: 1, isLess: true },
      },
      { name: 'open files besides connections', unit: 'files', values: [files] },
    ],
    details: { queues, connections, seconds },
  };
}

/** One message in each queue, as a broker with Apache's file sizes leaves it. */
async function layOut(root: string, queues: number): Promise<void> {
  const store = await openStore(
    smallStoreOptions(root, {
      mappedFileSizeCommitLog: 1024 * MIB,
      mappedFileSizeConsumeQueue: 6_000_000,
      maxHashSlotNum: 5_000_000,
      maxIndexNum: 20_000_000,
    }),
  );
  const table: Record<string, object> = {};
  for (let n = 0; n < queues; n++) {
    const topic = `idle-${Math.floor(n / QUEUES_PER_TOPIC)}`;
    table[topic] ??= topicConfig(topic);
    store.append(recordSource(store, { topic, queueId: n % QUEUES_PER_TOPIC }));
    if (n % 1_000 === 0) await store.flush();
  }
  await store.flush();
  await store.close();
  fs.mkdirSync(path.join(root, 'config'), { recursive: true });
  const dataVersion = { counter: 1, stateVersion: 0, timestamp: Date.now() };
  const text = JSON.stringify({ dataVersion, topicConfigTable: table });
  fs.writeFileSync(path.join(root, 'config', 'topics.json'), text);
}

const topicConfig = (topicName: string) => ({
  ...{ topicName, order: false, perm: 6, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0 },
  readQueueNums: QUEUES_PER_TOPIC,
  writeQueueNums: QUEUES_PER_TOPIC,
});

async function dialAll({ address }: Server, count: number): Promise<net.Socket[]> {
  const [host, port] = address.split(':');
  const sockets: net.Socket[] = [];
  const dial = () =>
    new Promise<void>((resolve, reject) => {
      const socket = net.connect(Number(port), host, () => resolve());
      socket.on('error', reject);
      sockets.push(socket);
    });
  while (sockets.length < count) {
    const left = Math.min(DIALS, count - sockets.length);
    await Promise.all(Array.from({ length: left }, dial));
  }
  return sockets;
}

function rssOf(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1]) / 1024;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
