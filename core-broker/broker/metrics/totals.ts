// Prometheus metrics of a broker: read from plain counters at scrape time, nothing is counted twice and
// nothing is recorded per message. Several brokers in one process (tests, demo) are summed.
// Names dr_broker_*.
import { gauge } from '../../base/index.ts';
import type { BrokerStats, TransactionCounts } from '../stats/index.ts';
import type { TimerFigures } from '../timer/index.ts';

/** Where the figures come from; asked at each scrape. */
export interface MetricSources {
  stats: BrokerStats;
  /** Positions of half queues that may be open transactions. */
  openTransactions: () => number;
  heldPulls: () => number;
  connections: () => number;
  logStart: () => number;
  logEnd: () => number;
  /** Used share of the disk under the log, 0 to 1. */
  diskUsed: () => number;
  dispatchBehindBytes: () => number;
  unflushedBytes: () => number;
  timers: () => TimerFigures;
}

const running = new Set<MetricSources>();

/** Adds a running broker to the metrics of this process. @returns removes it again */
export function exposeBroker(sources: MetricSources): () => void {
  running.add(sources);
  return () => void running.delete(sources);
}

function read(name: string, help: string, value: (sources: MetricSources) => number): void {
  const total = () => [...running].reduce((sum, sources) => sum + value(sources), 0);
  gauge({ name, help, collect: (self) => self.set(total()) });
}

const counts = ({ stats }: MetricSources): TransactionCounts => stats.transactions;

read('dr_broker_sends_messages', 'messages appended since start', (s) => s.stats.putTotal);
read(
  'dr_broker_sends_bytes',
  'bytes of records appended since start',
  (s) => s.stats.putBytesTotal,
);
read('dr_broker_sends_refused', 'sends refused since start', (s) => s.stats.putFailedTotal);
read('dr_broker_pulls_messages', 'messages pulled since start', (s) => s.stats.getTotal);
read('dr_broker_pulls_bytes', 'bytes pulled since start', (s) => s.stats.getBytesTotal);
read('dr_broker_pulls_empty', 'pulls that found nothing since start', (s) => s.stats.getMissTotal);
read('dr_broker_half_messages', 'half messages appended since start', (s) => counts(s).halves);
read('dr_broker_transactions_open', 'half messages that may be open', (s) => s.openTransactions());
read('dr_broker_transactions_committed', 'commits since start', (s) => counts(s).commits);
read('dr_broker_transactions_rolled_back', 'rollbacks since start', (s) => counts(s).rollbacks);
read('dr_broker_transaction_checks', 'checks since start', (s) => counts(s).checks);
read('dr_broker_transaction_checks_unasked', 'checks without a producer', (s) => counts(s).unasked);
read('dr_broker_transactions_given_up', 'half messages given up', (s) => counts(s).givenUp);
read('dr_broker_held_pulls', 'pulls that wait for messages', (s) => s.heldPulls());
read('dr_broker_connections', 'client connections', (s) => s.connections());
read('dr_broker_log_start_bytes', 'start of the commit log', (s) => s.logStart());
read('dr_broker_log_end_bytes', 'end of the commit log', (s) => s.logEnd());
read('dr_broker_dispatch_behind_bytes', 'log not yet in queues', (s) => s.dispatchBehindBytes());
read('dr_broker_unflushed_bytes', 'log not yet forced to disk', (s) => s.unflushedBytes());
read('dr_broker_timer_waiting', 'timer messages in the wheel', (s) => s.timers().waiting);
read('dr_broker_timer_due', 'timer messages that are due', (s) => s.timers().due);
read('dr_broker_timer_late_ms', 'how late the due timer messages are', (s) => s.timers().lateMs);
read(
  'dr_broker_timer_unread',
  'timer messages not yet in the wheel',
  (s) => s.timers().offsetBehind,
);
read('dr_broker_disk_used_ratio', 'used share of the disk under the log', (s) => s.diskUsed());
read(
  'dr_broker_start_time_seconds',
  'start of the broker, s since 1970',
  (s) => s.stats.bootMs / 1_000,
);
read(
  'dr_broker_put_max_seconds',
  'slowest send since start',
  (s) => s.stats.putTimes.maxMs / 1_000,
);
read('dr_broker_pull_max_seconds', 'slowest pull since start', (s) => s.stats.getMaxMs / 1_000);
