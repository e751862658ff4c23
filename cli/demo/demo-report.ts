// The table at the end of the demo and the decision whether every promise held. Counts decide; times
// are shown and never judged, because a laptop under load says nothing about a promise.
import { type OutputFormat, printAnswer } from '../output.ts';
import type { Verdict } from './checker.ts';

export interface DemoFacts {
  verdict: Verdict;
  statement: {
    confirmedMissing: number;
    unknownSinceMs?: number;
    brokers: { queues: { queue: string; missing: number }[] }[];
  };
  writePauseMs: number;
  rtoMs: number;
  rpoMs: number;
  linkMBps: number;
  backupMBps: number;
  isRestored: boolean;
  /** Changes behind which delayed, timed and transactional messages were all found. */
  dueAfter: string[];
}

/** Promises broken by these facts, one sentence each; empty = proven. */
export function brokenPromises(facts: DemoFacts): string[] {
  const { verdict } = facts;
  const broken: string[] = [];
  const allowed = missingByQueueId(facts);
  for (const [queue, lost] of Object.entries(verdict.lostBeforeByQueue)) {
    const stated = allowed.get(queue.slice(queue.lastIndexOf(':') + 1)) ?? 0;
    if (lost > stated) broken.push(`queue ${queue}: ${lost} lost, the statement said ${stated}`);
  }
  if (verdict.acknowledged === 0) broken.push('nothing was acknowledged');
  if (verdict.undelivered > 0) broken.push(`${verdict.undelivered} orders were never delivered`);
  if (verdict.outOfOrder > 0) broken.push(`${verdict.outOfOrder} orders out of order`);
  if (verdict.duplicatedByBroker > 0) {
    broken.push(`${verdict.duplicatedByBroker} orders doubled without a retry of the producer`);
  }
  if (facts.dueAfter.length < 2) broken.push('a delayed, timed or transactional message was lost');
  if (!facts.isRestored) broken.push('the backup was not restored');
  return broken;
}

/** Confirmed missing orders by queue id; statement queues are named `topic@queueId`. */
function missingByQueueId(facts: DemoFacts): Map<string, number> {
  const missing = new Map<string, number>();
  for (const { queue, missing: count } of facts.statement.brokers.flatMap((each) => each.queues)) {
    if (!queue.startsWith('ORDERS@')) continue;
    missing.set(queue.slice(queue.lastIndexOf('@') + 1), count);
  }
  return missing;
}

/** Prints the report; true when every promise held. */
export function printReport(format: OutputFormat, facts: DemoFacts): boolean {
  const broken = brokenPromises(facts);
  const { verdict } = facts;
  const rows: [string, string | number][] = [
    ['acknowledged', verdict.acknowledged],
    ['consumed', verdict.consumed],
    ['lost', verdict.lost],
    ['duplicated', verdict.duplicated],
    ['out of order', verdict.outOfOrder],
    ['write pause ms (planned)', Math.round(facts.writePauseMs)],
    ['RTO ms (failover)', Math.round(facts.rtoMs)],
    ['RPO messages (failover)', verdict.lost],
    ['RPO ms (failover)', Math.round(facts.rpoMs)],
    ['link MB/s', Math.round(facts.linkMBps)],
    ['backup MB/s', Math.round(facts.backupMBps)],
    ['delayed, timer, transaction delivered after', facts.dueAfter.join(', ')],
  ];
  printAnswer(format, {
    json: { ...facts, broken },
    head: ['figure', 'value'],
    rows,
    text: '',
  });
  const isProven = broken.length === 0;
  const text = isProven ? 'Every promise held.' : `BROKEN: ${broken.join('; ')}`;
  process.stderr.write(`${text}\n`);
  return isProven;
}
