// Deletes old commit-log files and what was derived from them: by age at an hour of the day, above a used
// share of the disk at any hour, and without regard to age when the disk is about to be full. Decides
// also when appends are refused. Off while the store is a standby: its copy must not lose its beginning
// before it is promoted.
// Invariant: never the last file, nothing that is not in its queue yet; queues and index follow the log,
// never lead it. What a connected follower has not read goes only when the disk forces it, and is said.
// Source: RocketMQ CleanCommitLogService / CleanConsumeQueueService, behaviour only.
import * as fs from 'node:fs';
import { createLog, sleep } from '../../base/index.ts';
import type { RetentionRules } from '../door.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import type { IndexService } from '../queue/index-service.ts';
import type { TopicTable } from '../queue/topic-table.ts';
import type { DiskUse } from './disk-use.ts';

const HOUR_MS = 3_600_000;
/** Runs that a request to delete by hand lasts for, as with Apache. */
const MANUAL_RUNS = 20;
/** Trimming tens of thousands of queues goes on in the next loop turn after this time. */
const SLICE_MS = 4;
const log = createLog('store');

export interface RetentionParts {
  files: LogFiles;
  state: LogState;
  topics: TopicTable;
  index: IndexService | undefined;
}

interface Verdict {
  mayDelete: boolean;
  /** Age does not count. */
  isForced: boolean;
}

export class Retention {
  readonly #parts: RetentionParts;
  /** Read at each run: some change while the broker runs. */
  readonly #rules: RetentionRules;
  #manualRuns = 0;
  #needed: () => number | undefined = () => undefined;

  constructor(parts: RetentionParts, rules: RetentionRules) {
    this.#parts = parts;
    this.#rules = rules;
  }

  /** The next runs delete at any hour what has reached its age (code 329). */
  runByHand(): void {
    this.#manualRuns = MANUAL_RUNS;
  }

  /** @param needed  lowest offset that a follower still reads, undefined = nobody follows */
  keepFor(needed: () => number | undefined): void {
    this.#needed = needed;
  }

  /** One pass. @returns files deleted */
  async run(nowMs: number, disk: DiskUse): Promise<number> {
    const { mayDelete, isForced } = this.#judge(nowMs, disk);
    if (this.#manualRuns > 0) this.#manualRuns--;
    let deleted = 0;
    while (mayDelete && deleted < this.#rules.deleteFileBatchMax) {
      if (deleted > 0) await sleep(this.#rules.deleteCommitLogFilesIntervalMs);
      if (!this.#deleteFirst(nowMs, isForced)) break;
      deleted++;
    }
    if (deleted > 0) await this.#trimInSlices();
    else if (isForced) log.warn('store.nothing_to_delete', 'the disk runs full and nothing may go');
    return deleted;
  }

  /** Queues and index give up what points below the log. */
  trimDerived(): void {
    const { files, topics, index } = this.#parts;
    for (const queue of topics.all()) queue.trimTo(files.minOffset);
    index?.trimTo(files.minOffset);
  }

  /** The same without holding up the loop. */
  async #trimInSlices(): Promise<void> {
    const { files, topics, index } = this.#parts;
    let sliceEnd = performance.now() + SLICE_MS;
    for (const queue of topics.all()) {
      queue.trimTo(files.minOffset);
      if (performance.now() < sliceEnd) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sliceEnd = performance.now() + SLICE_MS;
    }
    index?.trimTo(files.minOffset);
  }

  #judge(nowMs: number, { usedRatio }: DiskUse): Verdict {
    const rules = this.#rules;
    this.#noteLevel(usedRatio, between(rules.diskSpaceWarningLevelRatio, 35, 90));
    const isUrgent = usedRatio > between(rules.diskSpaceCleanForciblyRatio, 30, 85);
    const hours = rules.deleteWhen.split(';').map(Number);
    const mayDelete =
      isUrgent ||
      this.#manualRuns > 0 ||
      usedRatio * 100 > rules.diskMaxUsedSpaceRatio ||
      hours.includes(new Date(nowMs).getHours());
    return { mayDelete, isForced: isUrgent && rules.cleanFileForciblyEnable };
  }

  #noteLevel(usedRatio: number, refuseAbove: number): void {
    const { state } = this.#parts;
    const isLow = usedRatio > refuseAbove;
    if (isLow === state.isDiskLow) return;
    state.isDiskLow = isLow;
    const facts = { usedPercent: Math.round(usedRatio * 100), limitPercent: refuseAbove * 100 };
    if (isLow) log.error('store.disk_low', 'the disk is nearly full; writes are refused', facts);
    else log.info('store.disk_ok', 'the disk has room; writes are taken', facts);
  }

  #deleteFirst(nowMs: number, isForced: boolean): boolean {
    const { files, state } = this.#parts;
    const first = files.all[0];
    if (first === undefined || files.all.length < 2) return false;
    const end = first.start + files.fileSize;
    // Why dispatched: a file whose records are not yet in their queues is still needed.
    if (end > state.dispatched) return false;
    const ageMs = nowMs - fs.fstatSync(first.fd).mtimeMs;
    if (!isForced && ageMs < this.#rules.fileReservedTimeHours * HOUR_MS) return false;
    const needed = this.#needed();
    const isNeeded = needed !== undefined && needed < end;
    if (isNeeded && !isForced) return false;
    if (isNeeded) {
      log.error('store.needed_file_deleted', 'the disk forced out what a follower has not read', {
        file: first.path,
        followerAt: needed,
      });
    }
    files.removeFirst();
    log.info('store.file_deleted', 'a commit-log file was deleted', {
      file: first.path,
      ageHours: Math.floor(ageMs / HOUR_MS),
      isForced,
    });
    return true;
  }
}

/** A percentage as a ratio, inside the bounds that Apache keeps. */
const between = (percent: number, low: number, high: number): number =>
  Math.min(Math.max(percent, low), high) / 100;
