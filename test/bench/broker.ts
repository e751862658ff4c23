// SEND against a null server: `dr broker` as shipped, two of them (ASYNC_FLUSH and SYNC_FLUSH), each
// round with empty stores. Within a round every case runs null server, ASYNC, SYNC one after the other,
// so that a busy minute of the machine hits all three alike; ratios are taken per round. Before a store grows
// the memory for it is touched: the null server needs none, and a host's price for it is not the broker's. A host
// keeps only so much memory ready for its guests; short loads in many rounds stay below it.
// Invariant: an answer other than success fails the bench; nothing is measured that was refused.
import * as fs from 'node:fs';
import { runProgram, type Server, startBroker, startNullServer } from './programs.ts';
import type { BenchOptions, BenchResult, Figure, Goal } from './report.ts';
import { touchMemory } from './warm-memory.ts';

const ROUNDS = 9;
const SECONDS = 0.6;
const WARMUP_SECONDS = 0.25;
/** No broker here stores more in a second. */
const BYTES_MAX = 900_000_000;
/** A record without its body. */
const RECORD_BYTES = 300;

interface Case {
  bodyBytes: number;
  header: 'json' | 'binary';
  inflight: number;
}

interface Load {
  msgsPerSec: number;
  p50us: number;
  p99us: number;
  serverCpuUsPerMsg: number;
}

interface CaseRounds extends Case {
  null: Load[];
  async: Load[];
  sync: Load[];
}

const THROUGHPUT_GOALS: Record<string, Goal> = {
  '128 binary': { floor: 0.2, aim: 0.3 },
  '128 json': { floor: 0.12, aim: 0.2 },
  '1024 binary': { floor: 0.25, aim: 0.35 },
  '1024 json': { floor: 0.17, aim: 0.25 },
};
const UNLOADED_GOAL: Goal = { floor: 2, aim: 1.4, isLess: true };
const SYNC_GOAL: Goal = { floor: 0.5, aim: 0.65 };

function casesOf(isQuick: boolean): Case[] {
  const inflights = isQuick ? [1, 1024] : [1, 32, 256, 1024];
  const cases: Case[] = [];
  for (const bodyBytes of [128, 1024]) {
    for (const header of ['json', 'binary'] as const) {
      for (const inflight of inflights) cases.push({ bodyBytes, header, inflight });
    }
  }
  return cases;
}

/** What a store grows by in one load, at most. */
function logBytesOf({ bodyBytes, inflight }: Case): number {
  const bytesPerSecond = Math.min(inflight * 10_000 * (bodyBytes + RECORD_BYTES), BYTES_MAX);
  return bytesPerSecond * (SECONDS + WARMUP_SECONDS);
}

async function load(server: Server, each: Case): Promise<Load> {
  const found = await runProgram('load.ts', [
    server.address,
    `--header=${each.header}`,
    `--body=${each.bodyBytes}`,
    `--inflight=${each.inflight}`,
    `--seconds=${SECONDS}`,
    `--warmup=${WARMUP_SECONDS}`,
    `--pid=${server.pid}`,
  ]);
  if (found['errors'] !== 0 || found['messages'] === 0) {
    throw new Error(`${server.name} refused: ${JSON.stringify(found)}`);
  }
  return found as unknown as Load;
}

async function runRound(cases: CaseRounds[], folder: string): Promise<void> {
  fs.mkdirSync(folder);
  const nothing = await startNullServer(folder);
  const async = await startBroker({ name: 'async', folder });
  const lines = ['flushDiskType=SYNC_FLUSH'];
  const sync = await startBroker({ name: 'sync', folder, lines });
  try {
    // Why: a server that has run for a minute is measured, not one whose code is still interpreted.
    for (const server of [nothing, async, sync]) {
      for (const each of cases.filter(({ inflight }) => inflight === 1024))
        await load(server, each);
    }
    for (const each of cases) {
      each.null.push(await load(nothing, each));
      for (const side of ['async', 'sync'] as const) {
        touchMemory(folder, logBytesOf(each));
        each[side].push(await load(side === 'async' ? async : sync, each));
      }
    }
  } finally {
    await Promise.all([nothing, async, sync].map((server) => server.stop()));
    fs.rmSync(folder, { recursive: true });
  }
}

type Side = 'null' | 'async' | 'sync';

/** One value per round of `of` divided by the same round of `by`. */
function ratios(each: CaseRounds, of: Side, by: Side, key: keyof Load): number[] {
  return each[of].map((load, round) => load[key] / (each[by][round]?.[key] ?? Number.NaN));
}

const nameOf = (each: Case): string =>
  `${each.bodyBytes} B ${each.header}, ${each.inflight} in flight`;

function figuresOf(each: CaseRounds): Figure[] {
  const name = nameOf(each);
  const key = `${each.bodyBytes} ${each.header}`;
  const isFull = each.inflight === 1024;
  const share = (side: 'async' | 'sync', goal?: Goal): Figure => ({
    name: `${name}: ${side.toUpperCase()} / null server`,
    unit: 'ratio of rates',
    values: ratios(each, side, 'null', 'msgsPerSec'),
    ...(goal ? { goal } : {}),
  });
  const rest: Figure[] = (['null', 'async', 'sync'] as const).flatMap((side) => [
    { name: `${name}: ${side}`, unit: 'msg/s', values: each[side].map((l) => l.msgsPerSec) },
    {
      name: `${name}: ${side} CPU`,
      unit: 'us/msg',
      values: each[side].map((l) => l.serverCpuUsPerMsg),
    },
    { name: `${name}: ${side} p50`, unit: 'us', values: each[side].map((l) => l.p50us) },
    { name: `${name}: ${side} p99`, unit: 'us', values: each[side].map((l) => l.p99us) },
  ]);
  return [
    share('async', isFull ? THROUGHPUT_GOALS[key] : undefined),
    share('sync'),
    {
      name: `${name}: SYNC / ASYNC`,
      unit: 'ratio of rates',
      values: ratios(each, 'sync', 'async', 'msgsPerSec'),
      ...(isFull ? { goal: SYNC_GOAL } : {}),
    },
    {
      name: `${name}: ASYNC p50 / null p50`,
      unit: 'ratio of latencies',
      values: ratios(each, 'async', 'null', 'p50us'),
      ...(each.inflight === 1 ? { goal: UNLOADED_GOAL } : {}),
    },
    ...rest,
  ];
}

export async function brokerBench(options: BenchOptions): Promise<BenchResult> {
  const rounds = options.rounds ?? (options.isQuick ? 1 : ROUNDS);
  const cases: CaseRounds[] = casesOf(options.isQuick).map((each) => ({
    ...each,
    null: [],
    async: [],
    sync: [],
  }));
  for (let round = 1; round <= rounds; round++) {
    options.say(`round ${round} of ${rounds}: ${cases.length} cases on three servers`);
    await runRound(cases, `${options.folder}/round-${round}`);
  }
  return {
    figures: cases.flatMap(figuresOf),
    details: { secondsPerCase: SECONDS, connections: 4, receiveMode: 'events' },
  };
}
