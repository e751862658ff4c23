// `npm run bench -- broker --vs apache`: our broker against a stock Apache 5.5.0 (4 GiB heap, warm) in one
// run, every case on both sides one after the other, so that a busy minute hits both alike; ratios are
// taken per pair. Sends, paced latency, synchronous flush, consuming from memory and from disk, Apache's
// own Java benchmark, and our sends beside twenty readers.
// Invariant: what one side refused is never measured (pair.ts), and no load is unbounded.
import { type MixedRound, mixedFigures, mixedRound } from '../mixed.ts';
import { peakRssMib } from '../programs.ts';
import { type BenchOptions, type BenchResult, type Figure, type Goal, median } from '../report.ts';
import { type JavaLoad, javaBenchmark } from './java-benchmark.ts';
import {
  evict,
  type Pair,
  type PullLoad,
  pullLoad,
  type SendLoad,
  sendLoad,
  startPair,
} from './pair.ts';

const PAIRS = 5;
const WARM_SECONDS = 12;
const FILL = { inflight: 256, body: 1024, queues: 4, seconds: 1.5, warmup: 0.2 };
const JUST_CARRIED = 0.95;

interface SendCase {
  name: string;
  options: Record<string, number>;
  goal: Goal;
}

const SENDS: SendCase[] = [
  { name: '128 B, 1 in flight', options: { inflight: 1 }, goal: { floor: 0 } },
  { name: '128 B, 32 in flight', options: { inflight: 32 }, goal: { floor: 1.5, aim: 2.5 } },
  { name: '128 B, 256 in flight', options: { inflight: 256 }, goal: { floor: 2, aim: 3.5 } },
  { name: '128 B, 1024 in flight', options: { inflight: 1024 }, goal: { floor: 2.5, aim: 5 } },
  {
    name: '1 KiB, 1024 in flight',
    options: { inflight: 1024, body: 1024 },
    goal: { floor: 1.8, aim: 3 },
  },
  {
    name: '128 B, 128 connections x 2',
    options: { inflight: 256, connections: 128 },
    goal: { floor: 1.3, aim: 2.5 },
  },
];
const SYNC_SENDS: SendCase[] = [
  { name: 'SYNC, 32 in flight', options: { inflight: 32 }, goal: { floor: 1.2, aim: 2 } },
  { name: 'SYNC, 256 in flight', options: { inflight: 256 }, goal: { floor: 2, aim: 3.5 } },
];
const PULLS = [
  { name: 'from the tail', options: {} },
  { name: 'from the tail, by tag', options: { tags: 'TagA' } },
] as const;

interface Both<T> {
  ours: T[];
  apache: T[];
}
const both = <T>(): Both<T> => ({ ours: [], apache: [] });

type Run<T> = (side: 'ours' | 'apache') => Promise<T>;

/** One pair: the side that starts changes from round to round. */
async function pairUp<T>(into: Both<T>, round: number, run: Run<T>): Promise<void> {
  const order = round % 2 === 0 ? (['ours', 'apache'] as const) : (['apache', 'ours'] as const);
  for (const side of order) into[side].push(await run(side));
}

interface Results {
  sends: Map<SendCase, Both<SendLoad>>;
  paced: Both<SendLoad>;
  pulls: Map<string, Both<PullLoad>>;
  java: Both<JavaLoad>;
  mixed: MixedRound[];
  rssMib: number[];
}

const newResults = (): Results => ({
  sends: new Map([...SENDS, ...SYNC_SENDS].map((each) => [each, both<SendLoad>()])),
  paced: both(),
  pulls: new Map(),
  java: both(),
  mixed: [],
  rssMib: [],
});

const diskTopic = (round: number): string => `FromDisk${round}`;
const TAIL_TOPIC = 'FromTail';

/** Messages for the readers, then a stop: a running broker has the pages of what it wrote mapped. */
async function fill(folder: string, pairs: number): Promise<void> {
  const pair = await startPair({ folder, flushDiskType: 'ASYNC_FLUSH' });
  try {
    const topics = Array.from({ length: pairs }, (_, round) => diskTopic(round));
    for (const topic of [...topics, TAIL_TOPIC]) {
      await Promise.all([
        sendLoad(pair.ours, { ...FILL, topic }),
        sendLoad(pair.apache, { ...FILL, topic }),
      ]);
    }
  } finally {
    await pair.stop();
  }
}

async function warm(pair: Pair): Promise<void> {
  for (const side of ['ours', 'apache'] as const) {
    await sendLoad(pair[side], { inflight: 256, seconds: WARM_SECONDS / 2 });
    await sendLoad(pair[side], { inflight: 1024, body: 1024, seconds: WARM_SECONDS / 4 });
  }
}

async function sendRound(pair: Pair, cases: SendCase[], results: Results, round: number) {
  for (const each of cases) {
    const into = results.sends.get(each) ?? both<SendLoad>();
    await pairUp(into, round, (side) => sendLoad(pair[side], each.options));
  }
}

/** Both at the rate Apache can just carry with 256 in flight, as this round has found it. */
async function pacedRound(pair: Pair, results: Results, round: number): Promise<void> {
  const full = SENDS.find((each) => each.name === '128 B, 256 in flight') as SendCase;
  const carried = results.sends.get(full)?.apache.at(-1)?.msgsPerSec ?? 0;
  const rate = Math.floor(carried * JUST_CARRIED);
  await pairUp(results.paced, round, (side) => sendLoad(pair[side], { inflight: 256, rate }));
}

async function pullRound(pair: Pair, results: Results, round: number): Promise<void> {
  for (const { name, options } of PULLS) {
    const into = results.pulls.get(name) ?? both<PullLoad>();
    results.pulls.set(name, into);
    const run: Run<PullLoad> = (side) =>
      pullLoad(pair[side], { topic: TAIL_TOPIC, queues: 4, ...options });
    await pairUp(into, round, run);
  }
}

async function diskRound(pair: Pair, results: Results, round: number): Promise<void> {
  const into = results.pulls.get('from disk') ?? both<PullLoad>();
  results.pulls.set('from disk', into);
  await pairUp(into, round, async (side) => {
    await evict(pair[side]);
    const topic = diskTopic(round);
    return pullLoad(pair[side], { topic, queues: 4, once: true, seconds: 30 });
  });
}

function ratioOf<T>(of: Both<T>, key: keyof T): number[] {
  return of.ours.map((ours, i) => Number(ours[key]) / Number(of.apache[i]?.[key]));
}

function sidesOf<T>(name: string, of: Both<T>, key: keyof T, unit: string): Figure[] {
  return (['ours', 'apache'] as const).map((side) => ({
    name: `${name}: ${side}`,
    unit,
    values: of[side].map((each) => Number(each[key])),
  }));
}

function sendFigures({ name, goal }: SendCase, found: Both<SendLoad>): Figure[] {
  const isUnloaded = name.endsWith(' 1 in flight');
  const isCpuJudged = name === '128 B, 256 in flight';
  const latency: Goal = { floor: 1.3, aim: 1, isLess: true };
  return [
    {
      name: `${name}: rate / Apache`,
      unit: 'ratio of rates',
      values: ratioOf(found, 'msgsPerSec'),
      ...(isUnloaded ? {} : { goal }),
    },
    {
      name: `${name}: p50 / Apache`,
      unit: 'ratio of latencies',
      values: ratioOf(found, 'p50us'),
      ...(isUnloaded ? { goal: latency } : {}),
    },
    {
      name: `${name}: CPU per message / Apache`,
      unit: 'ratio',
      values: ratioOf(found, 'serverCpuUsPerMsg'),
      ...(isCpuJudged ? { goal: { floor: 1 / 6, aim: 1 / 12, isLess: true } } : {}),
    },
    ...sidesOf(name, found, 'msgsPerSec', 'msg/s'),
    ...sidesOf(`${name}, p50`, found, 'p50us', 'us'),
    ...sidesOf(`${name}, p99`, found, 'p99us', 'us'),
    ...sidesOf(`${name}, CPU`, found, 'serverCpuUsPerMsg', 'us/msg'),
  ];
}

function restFigures(results: Results): Figure[] {
  const { paced, java, mixed } = results;
  const pulls = [...results.pulls].flatMap(([name, found]) => [
    {
      name: `consume ${name}: MB/s / Apache`,
      unit: 'ratio of rates',
      values: ratioOf(found, 'mbPerSec'),
      goal: { floor: 1, aim: 3 },
    },
    ...sidesOf(`consume ${name}`, found, 'mbPerSec', 'MB/s'),
    ...sidesOf(`consume ${name}, CPU`, found, 'serverCpuUsPerKib', 'us/KiB'),
  ]);
  return [
    {
      name: 'p99 at the rate Apache just carries / Apache',
      unit: 'ratio of latencies',
      values: ratioOf(paced, 'p99us'),
      goal: { floor: 0.5, aim: 0.2, isLess: true },
    },
    ...sidesOf('p99 at that rate', paced, 'p99us', 'us'),
    ...pulls,
    {
      name: 'Java benchmark, 64 threads: sends / Apache',
      unit: 'ratio of rates',
      values: ratioOf(java, 'sendTps'),
      goal: { floor: 1, aim: 1.3 },
    },
    ...sidesOf('Java benchmark sends', java, 'sendTps', 'msg/s'),
    ...sidesOf('Java benchmark consumes', java, 'consumeTps', 'msg/s'),
    ...sidesOf('Java benchmark average', java, 'averageRtMs', 'ms'),
    ...mixedFigures(mixed),
    {
      name: 'peak RSS',
      unit: 'MiB',
      values: results.rssMib,
      goal: { floor: 1024, aim: 400, isLess: true },
      judged: 'max',
    },
  ];
}

async function asyncRounds(options: BenchOptions, pairs: number, results: Results) {
  const folder = `${options.folder}/async`;
  await fill(folder, pairs);
  const pair = await startPair({ folder, flushDiskType: 'ASYNC_FLUSH' });
  try {
    options.say('warming both up');
    await warm(pair);
    for (let round = 0; round < pairs; round++) {
      options.say(`pair ${round + 1} of ${pairs}`);
      await sendRound(pair, SENDS, results, round);
      await pacedRound(pair, results, round);
      await pullRound(pair, results, round);
      await diskRound(pair, results, round);
      await pairUp(results.java, round, async (side) => {
        const site = pair[side];
        const topic = `JavaBenchmark${round}`;
        // Why: a consumer that starts before its topic exists looks again only after 30 s.
        await sendLoad(site, { topic, inflight: 4, queues: 4, seconds: 0.2, warmup: 0 });
        return javaBenchmark({ site, folder: `${options.folder}/java-${round}-${side}`, topic });
      });
      results.mixed.push(await mixedRound(pair.ours, diskTopic(round)));
    }
    results.rssMib.push(peakRssMib(pair.ours.pid));
  } finally {
    await pair.stop();
  }
}

async function syncRounds(options: BenchOptions, pairs: number, results: Results) {
  const pair = await startPair({ folder: `${options.folder}/sync`, flushDiskType: 'SYNC_FLUSH' });
  try {
    options.say('synchronous flush');
    await warm(pair);
    for (let round = 0; round < pairs; round++) await sendRound(pair, SYNC_SENDS, results, round);
    results.rssMib.push(peakRssMib(pair.ours.pid));
  } finally {
    await pair.stop();
  }
}

export async function apacheBench(options: BenchOptions): Promise<BenchResult> {
  const pairs = options.rounds ?? (options.isQuick ? 1 : PAIRS);
  const results = newResults();
  await asyncRounds(options, pairs, results);
  await syncRounds(options, pairs, results);
  const sends = [...results.sends].flatMap(([each, found]) => sendFigures(each, found));
  return {
    figures: [...sends, ...restFigures(results)],
    details: {
      pairs,
      medianPacedRate: median(results.paced.apache.map((each) => each.msgsPerSec)),
    },
  };
}
