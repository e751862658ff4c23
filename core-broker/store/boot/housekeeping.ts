// The background work of an open store, each on its own beat: sync of the log, entries of queues to
// their files, the durable checkpoint, retention.
// Order of a checkpoint: log synced → queues and index written and synced → checkpoint written. So the
// offsets in it never claim more than the disk has.
// A full disk is expected here and tried again at the next beat; another failure stops the store.
import { createLog, DrError } from '../../base/index.ts';
import type { StoreOptions, StoreTuning } from '../door.ts';
import { isDiskFull } from '../log/file-layer.ts';
import type { LogSyncer } from '../log/flush/log-syncer.ts';
import type { LogState } from '../log/log-state.ts';
import type { IndexService } from '../queue/index-service.ts';
import type { TopicTable } from '../queue/topic-table.ts';
import { diskUse } from '../space/disk-use.ts';
import type { Retention } from '../space/retention.ts';
import { type Checkpoint, writeCheckpoint } from './checkpoint.ts';

const CHECKPOINT_EVERY_MS = 3_000;
/** Above this many files to sync a checkpoint waits for the thorough interval. */
const SYNC_FILES_CHEAP = 256;
/** More queues than this are not synced before a boot is done. */
const DIRTY_AT_BOOT_MAX = 512;
const REST_EVERY_MS = 30_000;
const log = createLog('store');

export interface HousekeepingParts {
  state: LogState;
  syncer: LogSyncer;
  topics: TopicTable;
  index: IndexService | undefined;
  retention: Retention;
  checkpointFile: string;
  commitLogFolder: string;
  /** False on a standby: nothing may be deleted there. */
  mayDelete: () => boolean;
}

export type Beats = Pick<
  StoreTuning,
  'cleanResourceIntervalMs' | 'flushIntervalConsumeQueueMs' | 'flushConsumeQueueThoroughIntervalMs'
> &
  Pick<StoreOptions, 'flushIntervalCommitLogMs'>;

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  #isStopped = false;
  #checkpointed = -1;
  #checkpointedMs = performance.now();
  #last: Checkpoint | undefined;
  #hasUnchecked = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
  }

  start(beats: Beats): void {
    const { syncer, topics } = this.#parts;
    this.#every(
      () => beats.flushIntervalCommitLogMs,
      () => syncer.sync(),
    );
    this.#every(
      () => beats.flushIntervalConsumeQueueMs,
      () => topics.writeOut(),
    );
    this.#every(
      () => REST_EVERY_MS,
      async () => topics.rest(),
    );
    this.#every(
      () => CHECKPOINT_EVERY_MS,
      () => this.#checkpointInTime(beats),
    );
    this.#every(
      () => beats.cleanResourceIntervalMs,
      async () => {
        await this.runRetention();
      },
    );
  }

  /** Tens of thousands of files are synced once a minute, not every three seconds. */
  async #checkpointInTime(beats: Beats): Promise<void> {
    const { files, dirtyQueues } = this.#parts.topics;
    const isCheap = files.dirty.size + dirtyQueues <= SYNC_FILES_CHEAP;
    const waitedMs = performance.now() - this.#checkpointedMs;
    const isTime = waitedMs >= beats.flushConsumeQueueThoroughIntervalMs;
    if (isCheap || isTime) await this.checkpoint(false);
  }

  /** Stops the beats and waits for what runs. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  /**
   * The checkpoint of a boot. With many queues to write it vouches for what was vouched for before, and
   * the next beat does the rest: nobody waits for fifty thousand files.
   */
  async first(vouched: number): Promise<void> {
    if (this.#parts.topics.dirtyQueues <= DIRTY_AT_BOOT_MAX) return this.checkpoint(false);
    const { state, syncer, checkpointFile } = this.#parts;
    await syncer.sync();
    this.#last = {
      // Zeros: a stock broker that boots next builds the queues from the first file.
      physicMsgTimestampMs: 0,
      logicsMsgTimestampMs: 0,
      indexMsgTimestampMs: 0,
      flushedOffset: state.flushed,
      dispatchedOffset: Math.min(vouched, state.flushed),
      uncheckedOffset: undefined,
    };
    writeCheckpoint(checkpointFile, this.#last);
  }

  /** Makes log, queues, index and checkpoint agree on disk. */
  async checkpoint(isFinal: boolean): Promise<void> {
    const { state, syncer, topics, index, checkpointFile } = this.#parts;
    const { dispatched, lastStoreTimestampMs } = state;
    if (dispatched === this.#checkpointed && !isFinal) return;
    await syncer.sync();
    if (isFinal) topics.writeOutNow();
    else await topics.writeOut();
    await topics.files.sync();
    await index?.flush(isFinal);
    // Unchecked bytes are synced too, but nobody vouches for them.
    const flushed = this.#hasUnchecked ? Math.min(state.flushed, dispatched) : state.flushed;
    this.#last = {
      physicMsgTimestampMs: lastStoreTimestampMs,
      logicsMsgTimestampMs: lastStoreTimestampMs,
      indexMsgTimestampMs: index?.safeTimestampMs ?? 0,
      flushedOffset: flushed,
      // Why min: a cut may have run while the disk was busy.
      dispatchedOffset: Math.min(dispatched, state.dispatched, state.flushed),
      uncheckedOffset: this.#hasUnchecked ? Math.min(dispatched, state.dispatched) : undefined,
    };
    writeCheckpoint(checkpointFile, this.#last);
    this.#checkpointed = dispatched;
    this.#checkpointedMs = performance.now();
  }

  /** From now on a link may write bytes behind `from` that nobody checked. Durable on return. */
  allowUnchecked(from: number): void {
    if (this.#hasUnchecked) return;
    this.#noteUnchecked(from);
    this.#hasUnchecked = true;
  }

  /** What follows the log's end now is our own. Durable on return. */
  forbidUnchecked(): void {
    if (!this.#hasUnchecked) return;
    this.#noteUnchecked(undefined);
    this.#hasUnchecked = false;
  }

  /** Waits for a running checkpoint, forgets what the last one vouched for. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
    this.#checkpointed = -1;
  }

  /** @returns files deleted */
  async runRetention(isAsked = false): Promise<number> {
    const { retention, commitLogFolder, mayDelete } = this.#parts;
    if (isAsked) retention.runByHand();
    return mayDelete() ? await retention.run(Date.now(), diskUse(commitLogFolder)) : 0;
  }

  /** Queues and index give up what points below the log. */
  trimQueues(): void {
    const { retention, mayDelete } = this.#parts;
    if (mayDelete()) retention.trimDerived();
  }

  /** Never two runs of one beat at a time. The interval is asked for before each. */
  #every(intervalMs: () => number, work: () => Promise<void>): void {
    let isBusy = false;
    let timer: NodeJS.Timeout | undefined;
    const arm = () => {
      if (timer !== undefined) this.#timers.delete(timer);
      if (this.#isStopped) return;
      timer = setTimeout(beat, intervalMs()).unref();
      this.#timers.add(timer);
    };
    const beat = () => {
      arm();
      if (isBusy) return;
      isBusy = true;
      const run = work()
        .catch((reason: unknown) => this.note(reason))
        .finally(() => {
          isBusy = false;
          this.#running.delete(run);
        });
      this.#running.add(run);
    };
    arm();
  }

  #noteUnchecked(uncheckedOffset: number | undefined): void {
    if (this.#last === undefined) throw new Error('the first checkpoint is written at boot');
    const { dispatched } = this.#parts.state;
    const flushedOffset = Math.min(this.#last.flushedOffset ?? 0, dispatched);
    this.#last = { ...this.#last, flushedOffset, uncheckedOffset };
    writeCheckpoint(this.#parts.checkpointFile, this.#last);
  }

  /** What background work failed with. */
  note(reason: unknown): void {
    if (isDiskFull(reason) || DrError.is(reason, 'DISK_FULL')) return;
    if (this.#parts.state.failure === undefined) {
      log.error('store.failed', 'background work failed; the store takes no more appends', {
        reason: String(reason),
      });
    }
    this.#parts.state.failure ??= DrError.from(reason);
  }
}
