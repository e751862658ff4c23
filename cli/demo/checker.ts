// The judge of a run: from what the clients wrote down, what was acknowledged, consumed, lost,
// duplicated or out of order. Pure; knows nothing of brokers.
// Order is judged on first deliveries of acknowledged messages per producer and queue.
import { type HistoryLine, splitKey } from './history.ts';

export interface Verdict {
  acknowledged: number;
  /** Invoked sends whose outcome the producer does not know. */
  unknown: number;
  failed: number;
  consumed: number;
  /** Acknowledged, but not in the log that was read at the end. */
  lost: number;
  lostKeys: string[];
  /** Lost keys acknowledged before `unknownSinceMs`, by queue: a statement must have counted them. */
  lostBeforeByQueue: Record<string, number>;
  /** Queue -> lost keys, by the queue of the acknowledgement. */
  lostByQueue: Record<string, number>;
  /** Acknowledged and in the log, but delivered to no consumer. */
  undelivered: number;
  undeliveredKeys: string[];
  /** Keys that stand in the log more than once (a retried send). */
  duplicated: number;
  /** Of these, keys whose producer sent exactly once: nobody but a broker can have doubled them. */
  duplicatedByBroker: number;
  /** Deliveries beyond the first of one log position. */
  redelivered: number;
  outOfOrder: number;
  outOfOrderExamples: string[];
  /** Longest time between two acknowledgements of one producer, ms. */
  longestGapMs: number;
}

/**
 * Judges one run.
 * @param history every line of every client, in any order of files; lines of one file in file order
 * @param unknownSinceMs from when on a loss statement calls acknowledgements unknown (wall clock)
 */
export function judge(
  history: readonly HistoryLine[],
  unknownSinceMs = Number.POSITIVE_INFINITY,
): Verdict {
  const acked = new Map<string, HistoryLine>();
  const open = new Set<string>();
  let failed = 0;
  for (const line of history) {
    if (line.op !== 'send') continue;
    if (line.phase === 'ok') acked.set(line.key, line);
    if (line.phase === 'invoke') open.add(line.key);
    else open.delete(line.key);
    if (line.phase === 'fail') failed++;
    if (line.phase === 'unknown') open.add(line.key);
  }
  const deliveries = history.filter((line) => line.op === 'consume');
  const audit = history.filter((line) => line.op === 'audit');
  const present = new Set(audit.map((line) => line.key));
  const delivered = new Set(deliveries.map((line) => line.key));
  const lostKeys = [...acked.keys()].filter((key) => !present.has(key));
  const undeliveredKeys = [...acked.keys()].filter(
    (key) => present.has(key) && !delivered.has(key),
  );
  const disorder = findDisorder(deliveries, acked);
  return {
    acknowledged: acked.size,
    unknown: open.size,
    failed,
    consumed: delivered.size,
    lost: lostKeys.length,
    lostKeys: lostKeys.slice(0, 100),
    lostBeforeByQueue: countBy(
      lostKeys
        .map((key) => acked.get(key))
        .filter((line) => line !== undefined && line.t < unknownSinceMs)
        .map((line) => line?.queue ?? 'unknown'),
    ),
    lostByQueue: countBy(lostKeys.map((key) => acked.get(key)?.queue ?? 'unknown')),
    undelivered: undeliveredKeys.length,
    undeliveredKeys: undeliveredKeys.slice(0, 100),
    duplicated: countDuplicates(audit),
    duplicatedByBroker: countDuplicates(
      audit.filter((line) => acked.get(line.key)?.attempts === 1),
    ),
    redelivered: deliveries.length - new Set(deliveries.map(positionOf)).size,
    outOfOrder: disorder.length,
    outOfOrderExamples: disorder.slice(0, 10),
    longestGapMs: longestGap([...acked.values()]),
  };
}

const positionOf = (line: HistoryLine): string => `${line.queue}@${line.offset}@${line.key}`;

function countBy(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Extra log positions per key: 0 when every key stands in the log once. */
function countDuplicates(audit: HistoryLine[]): number {
  const positions = new Set(audit.map(positionOf));
  return positions.size - new Set(audit.map((line) => line.key)).size;
}

/** First deliveries whose sequence is below one already delivered of the same producer and queue. */
function findDisorder(deliveries: HistoryLine[], acked: Map<string, HistoryLine>): string[] {
  const highest = new Map<string, number>();
  const seen = new Set<string>();
  const found: string[] = [];
  for (const line of deliveries) {
    if (seen.has(line.key) || !acked.has(line.key)) continue;
    seen.add(line.key);
    if ((line.reconsume ?? 0) > 0) continue;
    const { producer, sequence } = splitKey(line.key);
    const stream = `${producer} ${line.queue}`;
    const before = highest.get(stream) ?? -1;
    if (sequence < before) found.push(`${line.queue}: ${line.key} after ${producer}-${before}`);
    else highest.set(stream, sequence);
  }
  return found;
}

function longestGap(acks: HistoryLine[]): number {
  const last = new Map<string, number>();
  let longest = 0;
  for (const line of [...acks].sort((a, b) => a.t - b.t)) {
    const { producer } = splitKey(line.key);
    longest = Math.max(longest, line.t - (last.get(producer) ?? line.t));
    last.set(producer, line.t);
  }
  return longest;
}
