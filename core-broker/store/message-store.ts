// The store as its callers see it: wires log, writer, dispatcher, queues, index and guard together.
// One flow for local records: append (guard, ring) → flush turn (disk) → durable callbacks → dispatch →
// readable. One flow for the link: appendExact (guard, check, write, dispatch).
// Invariant: readers see only what was dispatched, and only what was written is dispatched.
import {
  type CommitLogOffset,
  commitLogOffset,
  createLog,
  DrError,
  type Epoch,
  type QueueOffset,
  queueOffset,
} from '../base/index.ts';
import type { SendKernel } from '../kernel/index.ts';
import type {
  AppendResult,
  ArrivalListener,
  EpochGuard,
  LookupKey,
  MessageStore,
  PullLimit,
  PullResult,
  QueueBounds,
  QueueRef,
  RecordRef,
  RecordSource,
  ScannedRecord,
  SendRun,
  StoreBounds,
  TopicHandle,
} from './door.ts';
import { DispatchPump } from './log/dispatch-pump.ts';
import { DurableWaiters } from './log/flush/durable-waiters.ts';
import { LogWriter } from './log/flush/log-writer.ts';
import { findByKey } from './queue/key-search.ts';
import { lowerByTime, timeOf, upperByTime } from './queue/time-search.ts';
import type { Topic } from './queue/topic-table.ts';
import { scanRecords } from './read/log-scan.ts';
import { scannedRecords } from './read/record-stream.ts';
import { giveUpUnwritten } from './space/given-up.ts';
import { storeProblems } from './space/problems.ts';
import type { StoreParts } from './store-parts.ts';

const log = createLog('store');

export class FileMessageStore implements MessageStore {
  readonly guard: EpochGuard;
  readonly sendKernel: SendKernel;
  readonly #parts: StoreParts;
  readonly #writer: LogWriter;
  readonly #pump: DispatchPump;
  readonly #waiters: DurableWaiters;
  /** The link wrote last: its partial tail goes before the first local append. */
  #isLinkTail = true;
  #closing: Promise<void> | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.guard = parts.guard;
    this.sendKernel = parts.kernel;
    this.#waiters = new DurableWaiters(parts.state);
    this.#pump = new DispatchPump(parts);
    this.#writer = new LogWriter(parts, parts.options.flushDiskType, {
      onProgress: () => {
        this.#waiters.notify();
        this.#pump.run();
      },
      onFull: () => this.#refuseUnwritten(),
    });
  }

  /** The parts behind a store, for tests of single parts on a real store; not exported by the door. */
  static partsOf(store: FileMessageStore): StoreParts {
    return store.#parts;
  }

  topic(name: string): TopicHandle {
    return this.#parts.topics.intern(name);
  }

  append(record: RecordSource): AppendResult {
    const { guard, topics, commitLog } = this.#parts;
    guard.check('local', guard.state.epoch);
    if (this.#isLinkTail) this.#leaveLink();
    const queue = topics.queue(record.topic as Topic, record.queueId);
    const result = commitLog.append(record, queue);
    this.#writer.schedule();
    return result;
  }

  appendRun(run: SendRun): number {
    const { guard, runs } = this.#parts;
    guard.check('local', guard.state.epoch);
    if (this.#isLinkTail) this.#leaveLink();
    const count = runs.append(run);
    if (count > 0) this.#writer.schedule();
    return count;
  }

  keyHashOf(topic: TopicHandle): number {
    return (topic as Topic).keyHash;
  }

  recordOf(result: AppendResult): Buffer {
    return this.#parts.runs.recordOf(result);
  }

  appendExact(offset: number, bytes: Buffer, epoch: Epoch): void {
    const { guard, state, exact } = this.#parts;
    guard.check('link', epoch);
    if (state.failure !== undefined) throw state.failure;
    if (!this.#writer.isIdle) throw new DrError('BUSY', 'local records are still being written');
    this.#isLinkTail = true;
    exact.append(offset, bytes);
    this.#waiters.notify();
  }

  uncheckedBytes(): number {
    return this.#parts.exact.uncheckedBytes;
  }

  checkedMore(): Promise<void> {
    return this.#parts.exact.checkedMore();
  }

  onDurable(listener: (end: CommitLogOffset) => void): void {
    this.#waiters.listen(listener);
  }

  durable(end: number): Promise<void> {
    return this.#waiters.wait(end);
  }

  pull(queue: QueueRef, from: number, limit: PullLimit): PullResult {
    return this.#parts.puller.pull(this.#parts.topics.find(queue), from, limit);
  }

  preload(queue: QueueRef, from: number, limit: PullLimit): Promise<void> | undefined {
    return this.#parts.preloader.preload(this.#parts.topics.find(queue), from, limit);
  }

  afterWrites(run: () => void): void {
    // Order: the writer's turn stands in the loop's list first, for what is appended after this call too.
    if (!this.#isLinkTail) this.#writer.schedule();
    setImmediate(run);
  }

  bounds(ref: QueueRef): QueueBounds | undefined {
    const queue = this.#parts.topics.find(ref);
    if (queue === undefined || !queue.exists) return undefined;
    return { min: queueOffset(queue.min), max: queueOffset(queue.max) };
  }

  *queues(): Iterable<QueueRef & QueueBounds> {
    for (const queue of this.#parts.topics.all()) {
      if (!queue.exists) continue;
      const { topic, queueId } = queue;
      yield { topic, queueId, min: queueOffset(queue.min), max: queueOffset(queue.max) };
    }
  }

  async find(key: LookupKey, limit: number): Promise<RecordRef[]> {
    const { index, view } = this.#parts;
    return index === undefined ? [] : await findByKey({ index, view }, key, limit);
  }

  readRecord(offset: number): Buffer {
    return this.#parts.view.record(offset);
  }

  offsetByTime(ref: QueueRef, ms: number, boundary: 'lower' | 'upper' = 'lower'): QueueOffset {
    const queue = this.#parts.topics.find(ref);
    if (queue === undefined) return queueOffset(0);
    const search = boundary === 'lower' ? lowerByTime : upperByTime;
    return queueOffset(search(queue, this.#parts.view, ms));
  }

  storeTimeOf(ref: QueueRef, offset: number): number {
    const queue = this.#parts.topics.find(ref);
    if (queue === undefined || offset < queue.min || offset >= queue.max) {
      throw new DrError('NOT_FOUND', `${ref.topic}@${ref.queueId} has no offset ${offset}`);
    }
    return timeOf(queue, this.#parts.view, offset);
  }

  onArrival(listener: ArrivalListener): void {
    this.#parts.dispatcher.listen(listener);
  }

  storeBounds(): StoreBounds {
    const { state, files } = this.#parts;
    return {
      minOffset: commitLogOffset(files.isEmpty ? state.dispatched : files.minOffset),
      maxOffset: commitLogOffset(state.end),
      writtenOffset: commitLogOffset(state.written),
      flushedOffset: commitLogOffset(state.flushed),
      dispatchedOffset: commitLogOffset(state.dispatched),
    };
  }

  readLog(offset: number, bytesMax: number, into?: Buffer): Promise<Buffer | undefined> {
    return this.#parts.view.raw(offset, bytesMax, into);
  }

  validatedEnd(): CommitLogOffset {
    return commitLogOffset(this.#parts.state.dispatched);
  }

  lastRecordOffset(): number {
    const { state, files } = this.#parts;
    return state.lastRecord < files.minOffset ? -1 : state.lastRecord;
  }

  /** Only a copy is ever cut: what an active side wrote, clients may have been told of. */
  #requireStandby(): void {
    const { writeState } = this.#parts.guard;
    if (writeState === 'standby') return;
    throw new DrError('REFUSED', `cannot cut the log of a store that is ${writeState}`);
  }

  async truncate(to: number): Promise<void> {
    const { files, state, topics, deleted, index, exact, keeping, syncer } = this.#parts;
    this.#requireStandby();
    if (to > state.dispatched || to < files.minOffset || !Number.isInteger(to)) {
      throw new DrError('NOT_FOUND', `offset ${to} is not in the log`);
    }
    await keeping.settle();
    await syncer.idle();
    // Time has passed: one tick from here to the cut.
    this.#requireStandby();
    if (!this.#writer.isIdle) throw new DrError('BUSY', 'records are still being written');
    exact.rewind();
    files.cut(to);
    state.resetTo(to);
    this.#parts.ring.reset(to);
    this.#writer.reset();
    for (const queue of topics.all()) queue.cut(to);
    index?.cut(to, true);
    deleted.cut(to);
    state.lastRecord = to > files.minOffset ? this.#lastRecordBelow(to) : -1;
    this.#isLinkTail = true;
    log.warn('store.truncated', 'the log was cut', { offset: to });
    await keeping.checkpoint(true);
  }

  scan(from: number, to: number): AsyncIterable<ScannedRecord> {
    return scannedRecords(this.#parts, from, to);
  }

  async removeTopic(name: string, isUnused: () => boolean): Promise<boolean> {
    const { state, topics, deleted, files, guard } = this.#parts;
    for (;;) {
      // Why wait: a record still on its way would bring its queue back.
      await this.dispatched();
      if (guard.state.role !== 'active' || !isUnused()) return false;
      if (state.dispatched === state.end) break;
    }
    deleted.add(name, state.end, files.minOffset);
    topics.removeQueues(name);
    return true;
  }

  deletedTopics(): Record<string, number> {
    return this.#parts.deleted.content();
  }

  followDeletions(ends: Record<string, number>): void {
    const { state, topics, deleted, guard } = this.#parts;
    if (guard.state.role !== 'standby') return;
    for (const [name, end] of Object.entries(ends)) {
      // Why not before: records on their way would bring the queue back.
      if (end > state.dispatched) continue;
      if (!deleted.follow(name, end)) continue;
      for (const queue of topics.queuesOf(name)) {
        // A queue that began anew behind the deletion was emptied by its first record.
        const isOld = queue.max > 0 && queue.physicalAt(queue.max - 1) < end;
        if (isOld) queue.wipe();
      }
    }
  }

  topicNames(): string[] {
    return this.#parts.topics.topicNames();
  }

  deleteExpired(): void {
    const { keeping } = this.#parts;
    keeping.runRetention(true).catch((reason: unknown) => keeping.note(reason));
  }

  trimQueues(): void {
    this.#parts.keeping.trimQueues();
  }

  dispatched(): Promise<void> {
    // Why: a cut record at the end of link bytes is never dispatched.
    const { exact, state } = this.#parts;
    return this.#isLinkTail ? exact.settled() : this.#pump.wait(state.end);
  }

  async flush(): Promise<void> {
    const { state, syncer } = this.#parts;
    if (state.isDiskFull) throw new DrError('DISK_FULL', 'the disk of the commit log has no room');
    await this.#waiters.wait(state.end);
    await syncer.sync();
  }

  problems(): string[] {
    return storeProblems(this.#parts);
  }

  keepFor(needed: () => number | undefined): void {
    this.#parts.retention.keepFor(needed);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { keeping, state, exact, scrubber } = this.#parts;
    await keeping.stop();
    await scrubber.stop();
    // Order: what the link brought is checked and stays; the source may be gone.
    if (this.#isLinkTail) await exact.close();
    const isClean = await this.#flushAll();
    this.#writer.close();
    this.#pump.close();
    await this.#writer.settled();
    const error = new DrError('CANCELLED', 'the store was closed');
    this.#waiters.rejectAll(state.failure ?? error);
    this.#parts.shut(isClean);
  }

  /** Everything to disk; false when the disk does not let us: the abort marker stays then. */
  async #flushAll(): Promise<boolean> {
    const { keeping, state } = this.#parts;
    if (state.failure !== undefined || state.isDiskFull) return false;
    try {
      await this.flush();
      await this.dispatched();
      await keeping.checkpoint(true);
      return true;
    } catch (reason) {
      log.error('store.unclean_close', 'the end could not be written', { reason: String(reason) });
      return false;
    }
  }

  /** Whoever waits for records that the full disk did not take hears now that they are not stored. */
  #refuseUnwritten(): void {
    giveUpUnwritten(this.#parts);
    this.#waiters.rejectBehind(
      this.#parts.state.durable,
      new DrError('DISK_FULL', 'the disk of the commit log has no room', {
        hint: 'nothing of this message was kept; free space, then send again',
      }),
    );
    this.#pump.rejectBehind(this.#parts.state.end);
  }

  #leaveLink(): void {
    const { state, ring, exact, keeping } = this.#parts;
    keeping.forbidUnchecked();
    this.#isLinkTail = false;
    void exact.leave();
    ring.reset(state.end);
    this.#writer.reset();
  }

  #lastRecordBelow(to: number): number {
    const { files } = this.#parts;
    return scanRecords(files, files.startOf(to - 1)).lastRecord;
  }
}

export const { partsOf } = FileMessageStore;
