// Deletes old commit-log files and what was derived from them: by age at an hour of the day, or earlier
// when the disk runs short. Off while the store is a standby: its copy must not lose its beginning
// before it is promoted.
// Invariant: never the last file; queues and index follow the log, never lead it.
// Source: RocketMQ CleanCommitLogService / CleanConsumeQueueService, behaviour only. The level at which
// appends are refused also looks at the free bytes: a large disk at 91 % is not in danger.
import * as fs from 'node:fs';
import { createLog } from '../../base/index.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import type { IndexService } from '../queue/index-service.ts';
import type { TopicTable } from '../queue/topic-table.ts';

const FILES_PER_RUN_MAX = 10;
const HOUR_MS = 3_600_000;
const FORCE_RATIO = 0.85;
const REFUSE_RATIO = 0.9;
const REFUSE_FREE_BYTES = 2 * 1024 * 1024 * 1024;
const log = createLog('store');

export interface RetentionRules {
  fileReservedTimeHours: number;
  /** Hours of the day, local, `;` between them. */
  deleteWhen: string;
  /** Percent (Apache) of the disk from which age alone decides, at any hour. */
  diskMaxUsedSpaceRatio: number;
}

export interface DiskUse {
  usedRatio: number;
  freeBytes: number;
}

export interface RetentionParts {
  files: LogFiles;
  state: LogState;
  topics: TopicTable;
  index: IndexService | undefined;
}

export class Retention {
  readonly #parts: RetentionParts;
  readonly #rules: RetentionRules;
  readonly #hours: Set<number>;

  constructor(parts: RetentionParts, rules: RetentionRules) {
    this.#parts = parts;
    this.#rules = rules;
    this.#hours = new Set(rules.deleteWhen.split(';').map(Number));
  }

  /** One pass; by order of the operator (`isAsked`) at any hour. @returns files deleted */
  run(nowMs: number, disk: DiskUse, isAsked = false): number {
    this.#parts.state.isDiskLow =
      disk.usedRatio > REFUSE_RATIO && disk.freeBytes < REFUSE_FREE_BYTES;
    const isForced = disk.usedRatio > FORCE_RATIO && disk.freeBytes < REFUSE_FREE_BYTES * 2;
    const isDue =
      isAsked ||
      this.#hours.has(new Date(nowMs).getHours()) ||
      disk.usedRatio * 100 > this.#rules.diskMaxUsedSpaceRatio;
    const deleted = isDue || isForced ? this.#deleteFiles(nowMs, isForced) : 0;
    if (deleted > 0) this.trimDerived();
    return deleted;
  }

  /** Queues and index give up what points below the log. */
  trimDerived(): void {
    const { files, topics, index } = this.#parts;
    for (const queue of topics.all()) queue.trimTo(files.minOffset);
    index?.trimTo(files.minOffset);
  }

  #deleteFiles(nowMs: number, isForced: boolean): number {
    const { files, state } = this.#parts;
    let deleted = 0;
    while (deleted < FILES_PER_RUN_MAX && files.all.length > 1) {
      const first = files.all[0]!;
      // Why dispatched: a file whose records are not yet in their queues is still needed.
      if (first.start + files.fileSize > state.dispatched) break;
      const ageMs = nowMs - fs.fstatSync(first.fd).mtimeMs;
      if (!isForced && ageMs < this.#rules.fileReservedTimeHours * HOUR_MS) break;
      files.removeFirst();
      deleted++;
      log.info('store.file_deleted', 'a commit-log file reached its age', {
        file: first.path,
        ageHours: Math.floor(ageMs / HOUR_MS),
        isForced,
      });
    }
    return deleted;
  }
}

/** How full the disk of a folder is. */
export function diskUse(folder: string): DiskUse {
  const { blocks, bfree, bavail, bsize } = fs.statfsSync(folder);
  return { usedRatio: blocks === 0 ? 0 : 1 - bfree / blocks, freeBytes: bavail * bsize };
}
