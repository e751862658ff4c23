// A producer and a consumer of one client library on a topic of their own, started once and never
// touched again until the end, and what their histories say: who was acknowledged, who was delivered,
// for how long nothing moved.
import type { HistoryLine } from '../../../cli/demo/history.ts';
import {
  type ClientKind,
  LIBRARY_WAITS,
  type RunningClient,
  startClient,
} from '../peers/clients.ts';
import { HistoryTail } from './history-tail.ts';

export interface PairPlan {
  name: string;
  kind: ClientKind;
  /** How it consumes; only `orderly` and ali-ons deliver a queue in order. */
  consume: 'orderly' | 'consume';
  /** Messages per second over all lanes. */
  rate: number;
  lanes: number;
  /** Name server it is given. */
  namesrv: string;
  /** Route poll, ms; undefined = the default of the library. */
  poll?: number;
  folder: string;
}

/** A stretch of time, wall clock in ms. */
export interface Span {
  from: number;
  to: number;
}

export interface Pair {
  readonly plan: PairPlan;
  readonly topic: string;
  readonly producer: RunningClient;
  readonly consumer: RunningClient;
  sends(): readonly HistoryLine[];
  deliveries(): readonly HistoryLine[];
  kill(): Promise<void>;
}

export const topicOf = (name: string): string => `switch-${name}`;

/** @param started is told of each client at once, so that a failed start leaves nothing behind */
export async function startPair(
  plan: PairPlan,
  started: (client: RunningClient) => void,
): Promise<Pair> {
  const topic = topicOf(plan.name);
  const { kind, namesrv, folder, name } = plan;
  const start = async (mode: 'produce' | 'orderly' | 'consume', more: object) => {
    const poll = plan.poll === undefined ? {} : { poll: plan.poll };
    const group = `${name}-${mode}`;
    const at = { kind, mode, namesrv, topic, group, folder, name: `${name}-${mode}` };
    const client = await startClient({ ...at, more: { ...LIBRARY_WAITS, ...poll, ...more } });
    started(client);
    return client;
  };
  const consumer = await start(plan.consume, {});
  const producer = await start('produce', { rate: plan.rate, threads: plan.lanes, prefix: name });
  const tails = [producer, consumer].map((each) => new HistoryTail(each.historyFile, topic));
  return {
    plan,
    topic,
    producer,
    consumer,
    sends: () => tails[0]?.read() ?? [],
    deliveries: () => tails[1]?.read() ?? [],
    kill: async () => {
      for (const each of [producer, consumer]) each.child.kill();
      await Promise.all([producer.child.exited, consumer.child.exited]);
      for (const tail of tails) tail.close();
    },
  };
}

export const acknowledged = (lines: readonly HistoryLine[]): HistoryLine[] =>
  lines.filter((line) => line.phase === 'ok');

/** True once `more` orders were acknowledged after `sinceMs` and one of them was delivered. */
export function hasMoved(pair: Pair, sinceMs: number, more: number): boolean {
  const fresh = acknowledged(pair.sends()).filter((line) => line.t > sinceMs);
  if (fresh.length < more) return false;
  const keys = new Set(fresh.map(({ key }) => key));
  return pair.deliveries().some((line) => line.t > sinceMs && keys.has(line.key));
}

/** Longest silence between two lines inside the span, ms; the ends of the span count as lines. */
export function longestGap(lines: readonly HistoryLine[], { from, to }: Span): number {
  const times = lines.map(({ t }) => t).filter((t) => t >= from && t <= to);
  let last = from;
  let longest = 0;
  for (const t of [...times.sort((a, b) => a - b), to]) {
    longest = Math.max(longest, t - last);
    last = t;
  }
  return longest;
}
