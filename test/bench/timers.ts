// How late timer messages come: `dr broker` as shipped takes messages of every kind of delay at a steady
// rate, then 100,000 that are due at one instant while plain sends go on beside them.
// Off = store time of the delivered record against the time it was due, which its body says, early or
// late. Plain sends are shown beside the same load before the flood.

import { createPeerClient, type PeerClient } from '../../core-broker/client/index.ts';
import {
  decodeRecords,
  formatMessageProperties,
  RequestCode,
} from '../../core-broker/protocol/index.ts';
import { peakRssMib, runProgram, type Server, startBroker } from './programs.ts';
import { type BenchOptions, type BenchResult, quantile } from './report.ts';

const MIXED = 'TimersMixed';
const FLOOD = 'TimersFlood';
const QUEUES = 4;
const IN_FLIGHT = 256;
const SECOND = 1_000;
const GOAL = { floor: 1_000, isLess: true } as const;

/** Properties that ask for a delay, and the delay they mean. */
const KINDS = [
  (ms: number) => ({ TIMER_DELIVER_MS: String(Date.now() + ms) }),
  (ms: number) => ({ TIMER_DELAY_MS: String(ms) }),
  (ms: number) => ({ TIMER_DELAY_SEC: String(Math.ceil(ms / SECOND)) }),
  () => ({ DELAY: '1' }),
  () => ({ DELAY: '2' }),
];
const LEVEL_MS = [SECOND, 5 * SECOND];

interface Site {
  broker: Server;
  peer: PeerClient;
}

export async function timersBench({ isQuick, folder, say }: BenchOptions): Promise<BenchResult> {
  const broker = await startBroker({ name: 'timers', folder });
  const site = { broker, peer: createPeerClient() };
  const steady = await steadyRate(site, isQuick ? 2 : 20);
  say(`${steady.length} timers at a steady rate came`);
  const count = isQuick ? 5_000 : 100_000;
  const flood = await oneInstant(site, count, isQuick);
  say(`${count} timers of one instant came`);
  site.peer.close();
  const rssMib = peakRssMib(broker.pid);
  await broker.stop();
  return {
    figures: [
      ...latenessFigures('steady rate', steady, false),
      ...latenessFigures(`${count} at one instant`, flood.late, true),
      { name: 'plain sends before the flood: p99', unit: 'us', values: [flood.before] },
      { name: 'plain sends during the flood: p99', unit: 'us', values: [flood.during] },
      { name: 'plain sends during the flood: longest', unit: 'us', values: [flood.longest] },
      { name: 'peak RSS', unit: 'MiB', values: [rssMib] },
    ],
    details: { steady: steady.length, flood: count, plainPerSecond: flood.plainPerSecond },
  };
}

/** A due time right behind the start of a slot waits a whole slot; one on the second itself must not. */
function latenessFigures(name: string, late: number[], isInstant: boolean) {
  const figure = (what: string, share: number) => ({
    name: `${name}: off by, ${what}`,
    unit: 'ms',
    values: [quantile(late.map(Math.abs), share)],
  });
  return [
    figure('p50', 0.5),
    { ...figure('p99', 0.99), goal: GOAL },
    { ...figure('at most', 1), ...(isInstant ? { goal: GOAL } : {}) },
  ];
}

/** 200 timers a second, each kind in turn, each with another part of a second. */
async function steadyRate(site: Site, seconds: number): Promise<number[]> {
  const count = seconds * 200;
  for (let n = 0; n < count; n++) {
    const kind = n % KINDS.length;
    const askedMs = kind < 3 ? SECOND + ((n * 7_919) % (4 * SECOND)) : (LEVEL_MS[kind - 3] ?? 0);
    const properties = (KINDS[kind] as (typeof KINDS)[number])(askedMs);
    const seconded = kind === 2 ? Math.ceil(askedMs / SECOND) * SECOND : askedMs;
    const deliver = (properties as Record<string, string>)['TIMER_DELIVER_MS'];
    const dueMs = deliver === undefined ? Date.now() + seconded : Number(deliver);
    await send(site, MIXED, { n, dueMs, properties });
    await pause(5);
  }
  return lateness(site, MIXED, count);
}

async function oneInstant(site: Site, count: number, isQuick: boolean) {
  const before = await plainSends(site, isQuick ? 1 : 4);
  const startMs = Date.now();
  const leadMs = isQuick ? 4 * SECOND : 40 * SECOND;
  const dueMs = Math.ceil((startMs + leadMs) / SECOND) * SECOND;
  const properties = { TIMER_DELIVER_MS: String(dueMs) };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await send(site, FLOOD, { n: next++, dueMs, properties });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  if (Date.now() > dueMs - 2 * SECOND) throw new Error('the flood was not put in time');
  await pause(dueMs - SECOND - Date.now() - 1_000);
  const during = await plainSends(site, isQuick ? 2 : 4);
  return {
    before: Number(before['p99us']),
    during: Number(during['p99us']),
    longest: Number(during['maxus']),
    plainPerSecond: during['msgsPerSec'],
    late: await lateness(site, FLOOD, count),
  };
}

/** Four producers with one send open each, in a process of its own. */
const plainSends = ({ broker }: Site, seconds: number): Promise<Record<string, unknown>> =>
  runProgram('load.ts', [
    ...[broker.address, '--inflight', '4', '--seconds', String(seconds)],
    ...['--topic', 'TimersPlain', '--queues', String(QUEUES), '--warmup', '1'],
  ]);

async function send(
  { broker, peer }: Site,
  topic: string,
  message: { n: number; dueMs: number; properties: object },
): Promise<void> {
  const { n, dueMs, properties } = message;
  const own = { ...properties, UNIQ_KEY: `${topic}-${n}`, WAIT: 'true' };
  const ext = {
    ...{ a: 'bench_timers', b: topic, c: 'TBW102', d: QUEUES, e: n % QUEUES, f: 0, g: Date.now() },
    ...{ h: 0, i: formatMessageProperties(new Map(Object.entries(own))), j: 0, k: false, m: false },
  };
  const request = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from(String(dueMs)) };
  const answer = await peer.invoke(broker.address, request, 30_000);
  if (answer.code !== 0) throw new Error(`a timer was refused: ${answer.code} ${answer.remark}`);
}

/** Waits until all came and says how late each was, ms. */
async function lateness(site: Site, topic: string, count: number): Promise<number[]> {
  const late: number[] = [];
  const offsets = new Array<number>(QUEUES).fill(0);
  const giveUpMs = Date.now() + 120 * SECOND;
  while (late.length < count) {
    const found = await Promise.all(
      offsets.map((offset, queueId) => read(site, { topic, queueId, offset })),
    );
    for (const [queueId, { next, lates }] of found.entries()) {
      offsets[queueId] = next;
      late.push(...lates);
    }
    if (Date.now() > giveUpMs) throw new Error(`${late.length} of ${count} timers came`);
    if (found.every(({ lates }) => lates.length === 0)) await pause(100);
  }
  if (late.length > count) throw new Error(`${late.length} came of ${count} timers`);
  return late;
}

async function read(
  { broker, peer }: Site,
  { topic, queueId, offset }: { topic: string; queueId: number; offset: number },
): Promise<{ next: number; lates: number[] }> {
  const ext = {
    ...{ consumerGroup: 'bench_readers', topic, queueId, queueOffset: offset, maxMsgNums: 256 },
    ...{ sysFlag: 4, commitOffset: 0, suspendTimeoutMillis: 0, subscription: '*', subVersion: 0 },
  };
  const request = { code: RequestCode.PULL_MESSAGE, ext };
  const { code, body = Buffer.alloc(0) } = await peer.invoke(broker.address, request, 30_000);
  const records = code === 0 ? decodeRecords(body) : [];
  const lates = records.map((each) => each.storeTimestampMs - Number(each.body.toString()));
  return { next: offset + records.length, lates };
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
