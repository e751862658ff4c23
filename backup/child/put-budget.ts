// Decides when a backup has to stand still for the broker: while more than 1 of 20 sends of the last
// moment took longer than the budget. The daemon decides and tells its backup process; a pause is a lease
// of one second, so a daemon that dies or hangs never holds a backup.
// Bound: a broker that is slow for reasons of its own does not keep the backup away for ever: after
// PAUSE_MS_MAX it runs for RUN_MS, then it yields again.
import { counter, createLog, DrError } from '../../core-broker/base/index.ts';

/** Sends counted so far that took at most `upToMs`; the last entry counts all of them. */
export interface LatencyCount {
  upToMs: number;
  count: number;
}

/** Cumulative counts of a broker's sends by duration, shortest bound first. */
export type PutLatencyProbe = () => Promise<readonly LatencyCount[]>;

export const TICK_MS = 500;
/** Two ticks: a late tick does not open the gate. */
export const PAUSE_LEASE_MS = 1_000;
const SLOW_SHARE_MAX = 0.05;
const PAUSE_MS_MAX = 20_000;
const RUN_MS = 2_000;

const pauses = counter({
  name: 'dr_backup_pauses_total',
  help: 'times a scheduled backup stood still because sends were over their latency budget',
});
const pausedSeconds = counter({
  name: 'dr_backup_paused_seconds_total',
  help: 'time scheduled backups stood still for the broker',
});
const log = createLog('backup');

/** Share of the sends between two readings that took longer than the budget; undefined without sends. */
export function slowShare(
  before: readonly LatencyCount[],
  after: readonly LatencyCount[],
  budgetMs: number,
): number | undefined {
  const upTo = after.map(({ upToMs, count }, i) => ({
    upToMs,
    count: count - (before[i]?.count ?? 0),
  }));
  const all = upTo.at(-1)?.count ?? 0;
  if (all <= 0) return undefined;
  let lower = { upToMs: 0, count: 0 };
  for (const upper of upTo) {
    if (upper.upToMs >= budgetMs) {
      // Spread evenly between two bounds; behind the last one all are slow.
      const width = upper.upToMs - lower.upToMs;
      const part = Number.isFinite(width) && width > 0 ? (budgetMs - lower.upToMs) / width : 0;
      return 1 - (lower.count + (upper.count - lower.count) * part) / all;
    }
    lower = upper;
  }
  return 0;
}

/** The decision of each tick. Pure but for what it remembers. */
export class PutBudget {
  #overSinceMs: number | undefined;

  /** @param share  of slow sends since the last tick */
  decide(share: number | undefined, nowMs: number): 'run' | 'pause' {
    if (share === undefined || share <= SLOW_SHARE_MAX) {
      this.#overSinceMs = undefined;
      return 'run';
    }
    this.#overSinceMs ??= nowMs;
    const overMs = nowMs - this.#overSinceMs;
    if (overMs >= PAUSE_MS_MAX + RUN_MS) this.#overSinceMs = nowMs;
    else if (overMs >= PAUSE_MS_MAX) return 'run';
    return 'pause';
  }
}

export interface WatchOptions {
  probe: PutLatencyProbe;
  budgetMs: number;
  /** Holds the run for so long from now. */
  pause: (forMs: number) => void;
}

/** Watches until the returned function is called. */
export function watchPutBudget(options: WatchOptions): () => void {
  const watch = new BudgetWatch(options);
  const timer = setInterval(() => void watch.tick(), TICK_MS);
  timer.unref();
  void watch.tick();
  return () => {
    clearInterval(timer);
    watch.stop();
  };
}

class BudgetWatch {
  readonly #options: WatchOptions;
  readonly #budget = new PutBudget();
  #before: readonly LatencyCount[] | undefined;
  #pausedAtMs: number | undefined;
  #isStopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    try {
      const after = await this.#options.probe();
      const before = this.#before ?? after;
      this.#before = after;
      if (!this.#isStopped) this.#act(slowShare(before, after, this.#options.budgetMs));
    } catch (reason) {
      // Without a reading there is nothing to yield to; the lease of a pause ends by itself.
      log.warn('run.unwatched', DrError.from(reason).message);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#resumed(performance.now());
  }

  #act(share: number | undefined): void {
    const nowMs = performance.now();
    if (this.#budget.decide(share, nowMs) === 'run') {
      this.#resumed(nowMs);
      return;
    }
    this.#options.pause(PAUSE_LEASE_MS);
    if (this.#pausedAtMs !== undefined) return;
    this.#pausedAtMs = nowMs;
    pauses.inc();
    const slowPercent = Math.round((share ?? 0) * 100);
    log.info('run.paused', 'the broker’s sends are over their budget', {
      slowPercent,
      budgetMs: this.#options.budgetMs,
    });
  }

  #resumed(nowMs: number): void {
    if (this.#pausedAtMs === undefined) return;
    const pausedMs = Math.round(nowMs - this.#pausedAtMs);
    this.#pausedAtMs = undefined;
    pausedSeconds.inc(pausedMs / 1_000);
    log.info('run.resumed', 'the backup goes on', { pausedMs });
  }
}
