// What a run of foreign clients proves. Read are only the histories the clients wrote, one audit of the
// new log, the loss statement and the list that `dr reconcile` makes of the dead disk.
// Order is judged in the log (every pair) and in first deliveries (pairs that consume a queue in order).
import { judge, type Verdict } from '../../../cli/demo/checker.ts';
import type { HistoryLine } from '../../../cli/demo/history.ts';
import { PullConsumer } from '../../../core-broker/client/index.ts';
import {
  decodeRecord,
  Property,
  parseMessageProperties,
} from '../../../core-broker/protocol/index.ts';
import { openLogReader } from '../../../core-broker/store/index.ts';
import { acknowledged, type Pair } from './pair.ts';

export interface PairVerdict extends Verdict {
  /** Every lost key; `lostKeys` of a verdict is cut short for printing. */
  allLost: Set<string>;
  /** Disorder among what stands in the log. */
  logDisorder: string[];
  /** Disorder among first deliveries; empty for consumers that deliver in parallel. */
  deliveryDisorder: string[];
  /** Keys at more than one position of the log. */
  doubled: string[];
}

/** What was written down until now. @returns a copy that does not grow */
export const snapshot = (pair: Pair): HistoryLine[] => [...pair.sends()];

/**
 * Judges one pair.
 * @param sends lines of the producer, up to the moment that is judged
 * @param audit the whole log of the topic, read after that moment
 * @param unknownSinceMs of the loss statement, when there is one
 */
export function judgePair(
  pair: Pair,
  told: { sends: HistoryLine[]; audit: HistoryLine[]; unknownSinceMs?: number | undefined },
): PairVerdict {
  const { sends, audit } = told;
  const deliveries = [...pair.deliveries()];
  const inLog = audit.map((line): HistoryLine => ({ ...line, op: 'consume', reconsume: 0 }));
  const verdict = judge([...sends, ...deliveries, ...audit], told.unknownSinceMs);
  const isInOrder = pair.plan.consume === 'orderly' || pair.plan.kind === 'ali-ons';
  const present = new Set(audit.map(({ key }) => key));
  const lost = acknowledged(sends).filter(({ key }) => !present.has(key));
  return {
    ...verdict,
    allLost: new Set(lost.map(({ key }) => key)),
    logDisorder: judge([...sends, ...inLog, ...audit]).outOfOrderExamples,
    deliveryDisorder: isInOrder ? verdict.outOfOrderExamples : [],
    doubled: doubledKeys(audit),
  };
}

function doubledKeys(audit: HistoryLine[]): string[] {
  const places = new Map<string, Set<string>>();
  for (const line of audit) {
    const known = places.get(line.key) ?? new Set();
    places.set(line.key, known.add(`${line.queue}@${line.offset}`));
  }
  return [...places].filter(([, at]) => at.size > 1).map(([key]) => key);
}

/** Doubled keys that no retry of the producer explains; only clients that count their tries tell. */
export function unexplained(doubled: string[], sends: HistoryLine[]): string[] {
  const retried = new Set(
    sends
      .filter((line) => (line.attempts ?? 0) > 1 || line.phase === 'unknown')
      .map(({ key }) => key),
  );
  return doubled.filter((key) => !retried.has(key));
}

/** Every message of a topic that a region serves now, in queue order. */
export async function auditLog(nameserver: string, topic: string): Promise<HistoryLine[]> {
  const reader = new PullConsumer({ nameservers: [nameserver], group: 'audit' });
  const lines: HistoryLine[] = [];
  reader.start();
  try {
    for (const queue of await reader.queues(topic)) {
      const end = await reader.bound(queue, 'max');
      for (let next = await reader.bound(queue, 'min'); next < end; ) {
        const pulled = await reader.pull(queue, next);
        for (const { keys = '', queueId, queueOffset } of pulled.messages) {
          const place = { queue: `${topic}@${queueId}`, offset: queueOffset };
          lines.push({ t: Date.now(), op: 'audit', key: keys.trim(), ...place });
        }
        next = pulled.next;
      }
    }
  } finally {
    reader.stop();
  }
  return lines;
}

/** Messages of one topic on a dead disk, from a log offset on. */
export async function readTail(
  store: string,
  from: number,
  topic: string,
): Promise<{ key: string; place: string }[]> {
  const reader = openLogReader(store);
  const found: { key: string; place: string }[] = [];
  try {
    for await (const record of reader.scan(from)) {
      if (record.topic !== topic) continue;
      const properties = parseMessageProperties(decodeRecord(record.bytes).properties);
      const place = `${topic}@${record.queueId}@${record.queueOffset}`;
      found.push({ key: (properties.get(Property.KEYS) ?? '').trim(), place });
    }
  } finally {
    reader.close();
  }
  return found;
}
