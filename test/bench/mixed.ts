// What readers cost the senders: sends at 80 % of the peak alone, then beside twenty groups that follow
// the tail with long polls and one that reads old messages from disk. Judged is how much slower the
// slowest hundredth of the sends becomes; what the readers got is shown, because a broker that starves
// them would shine here. Our broker only; `broker --vs apache` runs the same round in its pairs.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  evict,
  type PullLoad,
  pullLoad,
  type SendLoad,
  type Site,
  sendLoad,
} from './apache/pair.ts';
import { startBroker } from './programs.ts';
import type { BenchOptions, BenchResult, Figure } from './report.ts';

const PEAK_SHARE = 0.8;
const TAIL_READERS = 20;
const ROUNDS = 5;
const FILL = { inflight: 256, body: 1024, queues: 4, seconds: 1.5, warmup: 0.2 };
const WARM_SECONDS = 4;

export interface MixedRound {
  alone: SendLoad;
  mixed: SendLoad;
  tail: PullLoad;
  disk: PullLoad;
}

/** One round; `topic` has four queues of old messages, which are dropped from memory first. */
export async function mixedRound(site: Site, topic: string): Promise<MixedRound> {
  const peak = await sendLoad(site, { inflight: 256 });
  const rate = Math.floor(peak.msgsPerSec * PEAK_SHARE);
  const sends = { inflight: 256, rate, seconds: 3 };
  const alone = await sendLoad(site, sends);
  await evict(site);
  const readers = { tail: true, readers: TAIL_READERS, seconds: 5, warmup: 0 };
  const [tail, disk, mixed] = await Promise.all([
    pullLoad(site, readers),
    pullLoad(site, { topic, queues: 4, seconds: 4.5 }),
    sendLoad(site, { ...sends, warmup: 1 }),
  ]);
  return { alone, mixed, tail, disk };
}

export function mixedFigures(rounds: MixedRound[]): Figure[] {
  const each = (name: string, unit: string, of: (round: MixedRound) => number): Figure => ({
    name,
    unit,
    values: rounds.map(of),
  });
  return [
    {
      ...each(
        'p99 of sends beside 21 readers / alone',
        'ratio of latencies',
        ({ alone, mixed }) => mixed.p99us / alone.p99us,
      ),
      goal: { floor: 3, isLess: true },
    },
    each('p99 alone', 'us', ({ alone }) => alone.p99us),
    each('p99 beside readers', 'us', ({ mixed }) => mixed.p99us),
    each('p50 beside readers', 'us', ({ mixed }) => mixed.p50us),
    each('sends alone', 'msg/s', ({ alone }) => alone.msgsPerSec),
    each('sends beside readers', 'msg/s', ({ mixed }) => mixed.msgsPerSec),
    each('tail readers meanwhile', 'MB/s', ({ tail }) => tail.mbPerSec),
    each('disk reader meanwhile', 'MB/s', ({ disk }) => disk.mbPerSec),
  ];
}

async function withBroker<T>(folder: string, use: (site: Site) => Promise<T>): Promise<T> {
  const broker = await startBroker({ name: 'mixed', folder });
  const { address, pid } = broker;
  const storeFolder = path.join(folder, 'mixed');
  try {
    return await use({ name: 'ours', address, nameServer: '', pid, storeFolder });
  } finally {
    await broker.stop();
  }
}

export async function mixedBench(options: BenchOptions): Promise<BenchResult> {
  const { folder, say } = options;
  fs.mkdirSync(folder, { recursive: true });
  const rounds = options.rounds ?? (options.isQuick ? 1 : ROUNDS);
  const topics = Array.from({ length: rounds }, (_, round) => `FromDisk${round}`);
  await withBroker(folder, async (site) => {
    for (const topic of topics) await sendLoad(site, { ...FILL, topic });
  });
  return withBroker(folder, async (site) => {
    say('warming up');
    await sendLoad(site, { inflight: 256, seconds: options.isQuick ? 1 : WARM_SECONDS });
    const done: MixedRound[] = [];
    for (const [round, topic] of topics.entries()) {
      say(`round ${round + 1} of ${rounds}`);
      done.push(await mixedRound(site, topic));
    }
    return { figures: mixedFigures(done) };
  });
}
